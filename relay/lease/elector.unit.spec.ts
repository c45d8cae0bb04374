import { expect, it } from '@jest/globals';
import { VirtualClock } from '../../clock/testing/virtual-clock.ts';
import { Elector } from './elector.ts';
import type { Lease, LeaseStore, Term } from './types.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };

it('ends a term that was lost and won again between two looks, and begins the new one', async () => {
  const clock = new VirtualClock();
  const lease: Lease = { bucket: 0, owner: 'me', epoch: 1, remainingMs: 3_000 };
  const store: LeaseStore = {
    readLeases: async () => ({ leases: [{ ...lease }], members: [], databaseMs: 0, incarnation: 'x', buckets: 1 }),
    heartbeat: async () => {},
    renew: async () => {},
    acquire: async () => {},
    release: async () => {},
    leave: async () => {},
  };
  const gained: Term[] = [];
  const lost: Term[] = [];
  const elector = new Elector({
    ...{ source: 's', me: 'me', leaseMs: 3_000, store, clock, log: silent },
    onGained: (term) => gained.push(term),
    onLost: (term) => lost.push(term),
    isBusy: () => false,
    finish: async () => {},
  });
  elector.start();
  await clock.advance(600);
  expect(gained.map(({ epoch }) => epoch)).toEqual([1]);
  // Somebody else had it in term 2, and gave it back.
  lease.epoch = 3;
  await clock.advance(600);
  expect(lost.map(({ epoch }) => epoch)).toEqual([1]);
  expect(lost[0]!.isTrusted()).toBe(false);
  expect(gained.map(({ epoch }) => epoch)).toEqual([1, 3]);
  elector.abandon();
  await clock.advance(5_000);
});

it('looks often while somebody who left the list still has buckets, and takes them soon after they are given back', async () => {
  const clock = new VirtualClock();
  const leases: Lease[] = [{ bucket: 0, owner: 'other', epoch: 1, remainingMs: 4_000 }];
  const members = [{ id: 'other', remainingMs: 4_000 }];
  let looks = 0;
  const store: LeaseStore = {
    readLeases: async () => {
      looks++;
      return {
        ...{ databaseMs: 0, incarnation: 'x', buckets: 1 },
        leases: structuredClone(leases),
        members: [...members],
      };
    },
    heartbeat: async () => {},
    renew: async () => {},
    acquire: async (me) => {
      leases[0] = { bucket: 0, owner: me, epoch: 2, remainingMs: 5_000 };
    },
    release: async () => {},
    leave: async () => {},
  };
  const gained: number[] = [];
  const elector = new Elector({
    ...{ source: 's', me: 'me', leaseMs: 5_000, store, clock, log: silent },
    onGained: () => gained.push(clock.monotonicMs()),
    onLost: () => {},
    isBusy: () => false,
    finish: async () => {},
  });
  elector.start();
  await clock.advance(1_400);
  expect(looks).toBeLessThanOrEqual(4);
  members.pop();
  const before = looks;
  await clock.advance(1_000);
  expect(looks - before).toBeGreaterThanOrEqual(5);
  leases[0] = { bucket: 0, owner: null, epoch: 1, remainingMs: 0 };
  const givenBackMs = clock.monotonicMs();
  await clock.advance(500);
  expect(gained[0]! - givenBackMs).toBeLessThanOrEqual(110);
  elector.abandon();
  await clock.advance(5_000);
});

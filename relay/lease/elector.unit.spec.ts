import { expect, it } from '@jest/globals';
import { VirtualClock } from '../testing/virtual-clock.ts';
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

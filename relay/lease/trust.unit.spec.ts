import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from '../../clock/testing/virtual-clock.ts';
import { Elector } from './elector.ts';
import { pauseMs, trustedUntilMs } from './trust.ts';
import type { LeaseStore, LeaseTable, Term } from './types.ts';
import { abandonedBuckets, unownedSince } from './unowned.ts';

describe('belief in a lease', () => {
  it('counts from before the statement that told of it and ends a tenth early', () => {
    expect(trustedUntilMs(1_000, 5_000, 5_000)).toBe(5_500);
    expect(trustedUntilMs(1_000, 200, 5_000)).toBe(700); // over already
  });

  const leaseMs = 1_000;
  // the database's clock runs at another speed and shows another time
  const clocks = [2, 100, 400, 900].flatMap((latencyMs) => [0.95, 1, 1.05].map((rate) => [latencyMs, rate] as const));

  it.each(clocks)(
    'ends before the lease does, however slow the answers and whatever the clocks show',
    async (latencyMs, rate) => {
      const clock = new VirtualClock();
      const databaseMs = () => 5e12 + clock.monotonicMs() * rate;
      let owner: string | null = null;
      let expiresMs = 0;
      const step = async (work: () => void) => {
        await new Promise<void>((resolve) => clock.after(latencyMs * 0.1, resolve));
        work();
        await new Promise<void>((resolve) => clock.after(latencyMs * 0.9, resolve));
      };
      const store: LeaseStore = {
        async readLeases() {
          let table: LeaseTable | undefined;
          await step(() => {
            const lease = { bucket: 0, owner, epoch: 1, remainingMs: expiresMs - databaseMs() };
            table = { leases: [lease], members: [], databaseMs: databaseMs(), incarnation: 'x', buckets: 1 };
          });
          return table!;
        },
        heartbeat: () => step(() => {}),
        renew: () =>
          step(() => {
            expiresMs = databaseMs() + leaseMs;
          }),
        acquire: () =>
          step(() => {
            owner = 'me';
            expiresMs = databaseMs() + leaseMs;
          }),
        release: () => step(() => {}),
        leave: () => step(() => {}),
      };
      const terms: Term[] = [];
      const elector = new Elector({
        source: 's',
        me: 'me',
        leaseMs,
        store,
        clock,
        log: { debug() {}, info() {}, warn() {}, error() {} },
        onGained: (term) => terms.push(term),
        onLost: () => {},
        isBusy: () => false,
        finish: async () => {},
      });
      elector.start();
      let believed = 0;
      for (let at = 0; at < 6_000; at += 10) {
        await clock.advance(10);
        if (!terms.some((term) => term.isTrusted())) continue;
        believed++;
        expect(expiresMs).toBeGreaterThan(databaseMs());
      }
      if (latencyMs <= 100) expect(believed).toBeGreaterThan(250);
      elector.abandon();
      await clock.advance(5_000);
    },
  );
});

describe('the pause between two rounds', () => {
  const round = { nowMs: 1_000, readStartedMs: 990, renewalDueMs: 3_000, observeMs: 500, foreignRemainingMs: [] };

  it('is half a second, or shorter where a renewal is due', () => {
    expect(pauseMs(round)).toBe(500);
    expect(pauseMs({ ...round, renewalDueMs: 1_200 })).toBe(200);
  });

  it('ends just after somebody else’s lease may end, and is never a busy loop', () => {
    expect(pauseMs({ ...round, foreignRemainingMs: [4_000, 100] })).toBe(95);
    expect(pauseMs({ ...round, foreignRemainingMs: [-50, 0, 3] })).toBe(10);
    expect(pauseMs({ ...round, renewalDueMs: 900 })).toBe(10);
  });
});

describe('buckets that nobody has', () => {
  const seen = (owner: string | null, remainingMs: number) => ({
    leases: [{ bucket: 0, owner, epoch: 1, remainingMs }],
  });

  it('are counted from when it was first seen, and forgotten once somebody has them', () => {
    const first = unownedSince(new Map(), seen(null, 0), 100);
    const second = unownedSince(first, seen('dead', -1), 200);
    expect(second).toEqual(new Map([[0, 100]]));
    expect(unownedSince(second, seen('a', 1), 300)).toEqual(new Map());
  });

  it('are an alarm only where work waits, and after a takeover should be over', () => {
    const since = new Map([
      [0, 0],
      [1, 0],
    ]);
    expect(abandonedBuckets(since, [0, 2], 7_000, 5_000)).toEqual([]);
    expect(abandonedBuckets(since, [0, 2], 7_001, 5_000)).toEqual([0]);
  });
});

import { describe, expect, it } from '@jest/globals';
import type { Moment } from '../kinds/kind.ts';
import { neededOf, planOf } from '../plan.ts';
import { effectCounts } from './effects.ts';
import {
  drainingMs,
  holds,
  limitsOf,
  progressAgainMs,
  publishingAgainMs,
  type TimedEvent,
  takenOverMs,
} from './moments.ts';

const event = (committedMs: number, sentMs: number | null, bucket = 0, auditorMs?: number): TimedEvent => ({
  source: 'like',
  bucket,
  committedMs,
  sentMs,
  appliedMs: null,
  recordedMs: { auditor: auditorMs },
});
const lease = (atMs: number, bucket: number, process: string, owner: string | null = process) => ({
  process,
  atMs,
  source: 'like',
  bucket,
  owner,
  epoch: 2,
  early: false,
});

describe('times after a moment', () => {
  it('takes the longest wait of the killed owner’s buckets, from the kill or from a later commit', () => {
    const events = [
      event(900, 950),
      event(990, 6_000),
      event(1_800, 6_500),
      event(995, 9_000, 7),
      event(5_000, 60_000),
    ];
    expect(publishingAgainMs(events, 1_000, ['like.0'])).toBe(5_000);
    expect(publishingAgainMs(events, 1_000, ['like.0', 'like.7'])).toBe(8_000);
    expect(publishingAgainMs(events, 1_000, ['like.3'])).toBeNull();
    expect(publishingAgainMs([event(990, null)], 1_000, ['like.0'])).toBe(Number.POSITIVE_INFINITY);
  });

  it('takes the longest wait of a consumer’s events', () => {
    expect(progressAgainMs([event(500, 600, 0, 700), event(900, 950, 0, 8_000)], 1_000, 'auditor')).toBe(7_000);
    expect(progressAgainMs([event(900, 950)], 1_000, 'auditor')).toBe(Number.POSITIVE_INFINITY);
  });

  it('takes the first event that drains, one that came soon after included, and says nothing where there was none', () => {
    expect(drainingMs([event(500, 2_000), event(600, 4_000)], 1_000)).toBe(1_000);
    expect(drainingMs([event(1_400, 1_450)], 1_000)).toBe(450);
    expect(drainingMs([event(500, 600), event(2_500, 2_600)], 1_000)).toBeNull();
  });

  it('waits for another owner of each bucket, not for the old one or nobody', () => {
    const leases = [
      lease(1_100, 0, 'relay-1', null),
      lease(1_200, 0, 'relay-2'),
      lease(1_150, 1, 'relay-1'),
      lease(1_900, 1, 'relay-2'),
    ];
    const moment = { atMs: 1_000, node: 'relay-1', buckets: ['like.0', 'like.1'] };
    expect(takenOverMs(leases, moment)).toBe(900);
    expect(takenOverMs(leases, { ...moment, buckets: ['like.5'] })).toBe(Number.POSITIVE_INFINITY);
  });

  it('holds a promise only when it was measured often enough and never longer', () => {
    const limit = { title: 'x', limitMs: 1_000, valuesMs: [200, 1_000], needed: 2 };
    expect(holds(limit)).toBe(true);
    expect(holds({ ...limit, needed: 3 })).toBe(false);
    expect(holds({ ...limit, valuesMs: [200, 1_001] })).toBe(false);
  });

  it('gathers the times of several boards', () => {
    const moments: Moment[] = [{ kind: 'relay-killed', atMs: 1_000, node: 'relay-1', buckets: ['like.0'] }];
    const board = { moments, events: [event(990, 3_000)], leases: [] };
    const needed = { ...neededOf(planOf('full', 1)), 'relay-killed': 2 };
    const [killed] = limitsOf([board, board], { leaseMs: 5_000, needed, deadlineFactor: 1 });
    expect(killed).toMatchObject({ limitMs: 7_000, valuesMs: [2_000, 2_000], needed: 2 });
    const [patient] = limitsOf([board, board], { leaseMs: 5_000, needed, deadlineFactor: 3 });
    expect(patient).toMatchObject({ limitMs: 21_000 });
  });
});

describe('effects of a slot', () => {
  const made = (id: number, atMs: number) =>
    ({ event: `e${id}`, atMs, version: id, source: 'like', aggregate: 'a' }) as never;
  const effect = (id: number) =>
    ({ consumer: 'auditor', event: `e${id}`, source: 'like', aggregate: 'a', version: id }) as never;
  const count = (effects: never[], stored: never[] = []) =>
    effectCounts({ ledger: [made(1, 10), made(2, 20), made(3, 30)], effects, stored }, 'auditor', [
      { fromMs: 0, toMs: 25 },
      { fromMs: 25, toMs: 50 },
    ]);

  it('are counted where their events were committed', () => {
    const good = { lost: 0, duplicated: 0, outOfOrder: 0, copiesInTopic: 0 };
    expect(count([effect(1), effect(2), effect(3)])).toEqual([
      { events: 2, ...good },
      { events: 1, ...good },
    ]);
    expect(count([effect(1), effect(2)])[1]).toMatchObject({ lost: 1 });
    expect(count([effect(1), effect(2), effect(2), effect(3)])[0]).toMatchObject({ duplicated: 1, outOfOrder: 1 });
    expect(count([effect(1), effect(3), effect(2)])).toMatchObject([{ outOfOrder: 1 }, { outOfOrder: 1 }]);
    expect(count([], [effect(3), effect(3)])[1]).toMatchObject({ copiesInTopic: 1 });
  });
});

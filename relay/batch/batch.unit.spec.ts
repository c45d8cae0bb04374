import { describe, expect, it } from '@jest/globals';
import { KafkaError } from '../../kafka/errors.ts';
import type { PublishReport } from '../../kafka/port.ts';
import type { PendingRow, StoredEvent } from '../sources/store.ts';
import { choose, headLimit } from './choose.ts';
import { backoffMs, Holds } from './holds.ts';
import { InFlight } from './in-flight.ts';
import { pack, type Routed } from './pack.ts';
import { settle, settleAsFailed } from './settle.ts';
import { nextBatchRows } from './size.ts';

const row = (id: number, key = 'k'): PendingRow => ({ id: String(id), day: '2026-01-01', keyHash: key });
const event = (id: number, key = 'k'): StoredEvent => ({ id: String(id), aggregateId: key }) as StoredEvent;
const routed = (id: number, partition: number, key = `k${id}`): Routed => ({
  row: row(id, key),
  event: event(id, key),
  topic: 't',
  partition,
});
const ids = (some: readonly { row: PendingRow }[]) => some.map((one) => Number(one.row.id));
const error = new KafkaError('KAFKA_UNAVAILABLE', 'no leader', { retryable: true });
const backoff = { firstMs: 100, longestMs: 1_000 };

describe('rows in flight', () => {
  it('leave only after a read that began when their delete was committed', () => {
    const inFlight = new InFlight();
    inFlight.endRead(inFlight.beginRead());
    inFlight.add(['1', '2']);
    const during = inFlight.beginRead();
    inFlight.deleted(['1']);
    inFlight.endRead(during); // began before: it may have seen the row
    expect(inFlight.has('1')).toBe(true);
    inFlight.endRead(inFlight.beginRead());
    expect(inFlight.has('1')).toBe(false);
    expect(inFlight.has('2')).toBe(true); // not deleted
    expect(inFlight.size).toBe(1);
  });

  it('come back at once when they were not acknowledged', () => {
    const inFlight = new InFlight();
    inFlight.add(['1']);
    inFlight.remove(['1']);
    inFlight.deleted(['1']);
    expect(inFlight.has('1')).toBe(false);
  });
});

describe('choosing rows', () => {
  const nothing = { isInFlight: () => false, isHeld: () => false };

  it('takes the oldest first, up to the limit', () => {
    expect(choose([row(1), row(2), row(3)], 2, nothing).map(({ id }) => id)).toEqual(['1', '2']);
    expect(choose([], 2, nothing)).toEqual([]);
  });

  it('leaves out what is in flight, and every row of a key that is held', () => {
    const head = [row(1), row(2, 'held'), row(3), row(4, 'held')];
    const left = { isInFlight: (id: string) => id === '1', isHeld: (key: string) => key === 'held' };
    expect(choose(head, 10, left).map(({ id }) => id)).toEqual(['3']);
  });

  it('looks past what was left out, up to a limit', () => {
    expect(headLimit(100, 0, 1_000)).toBe(100);
    expect(headLimit(100, 400, 1_000)).toBe(500);
    expect(headLimit(100, 5_000, 1_000)).toBe(1_000);
    expect(headLimit(2_000, 0, 1_000)).toBe(2_000);
  });
});

describe('the size of the next batch', () => {
  const settings = { batchSize: 1_000, batchBytes: 1_000_000 };

  it('starts small and doubles', () => {
    expect(nextBatchRows(null, settings)).toBe(250);
    expect(nextBatchRows({ rows: 250, bytes: 1_000 }, settings)).toBe(500);
    expect(nextBatchRows({ rows: 900, bytes: 1_000 }, settings)).toBe(1_000);
    expect(nextBatchRows({ rows: 3, bytes: 10 }, settings)).toBe(250);
  });

  it('shrinks to what fits, but never to nothing', () => {
    expect(nextBatchRows({ rows: 1_000, bytes: 10_000_000 }, settings)).toBe(100);
    expect(nextBatchRows({ rows: 1, bytes: 5_000_000 }, settings)).toBe(1);
  });
});

describe('packing a batch', () => {
  const route = (one: StoredEvent) => ({ topic: 't', partition: one.aggregateId === 'bad' ? 1 : 0 });

  it('keeps the order of the rows, whatever order the events come in', () => {
    const packed = pack([row(1), row(2), row(3)], [event(3), event(1), event(2)], route, () => false);
    expect(ids(packed.send)).toEqual([1, 2, 3]);
  });

  it('leaves out the keys of a partition that waits, and nothing else', () => {
    const rows = [row(1, 'bad'), row(2), row(3, 'bad')];
    const events = [event(1, 'bad'), event(2), event(3, 'bad')];
    const packed = pack(rows, events, route, (cause) => cause === 't/1');
    expect(ids(packed.send)).toEqual([2]);
    expect(packed.waiting).toEqual([{ keyHash: 'bad', cause: 't/1' }]);
  });

  it('stops a key at a row without an event', () => {
    const packed = pack([row(1, 'a'), row(2, 'b'), row(3, 'a')], [event(2, 'b'), event(3, 'a')], route, () => false);
    expect(ids(packed.send)).toEqual([2]);
    expect(packed.bad).toMatchObject([{ row: row(1, 'a'), event: null, code: 'EVENT_MISSING' }]);
  });

  it('stops a key at an event that no topic takes, and no other key', () => {
    const choosy = (one: StoredEvent) => {
      if (one.aggregateId === 'a') throw new Error('no topic');
      return { topic: 't', partition: 0 };
    };
    const packed = pack([row(1, 'a'), row(2, 'b'), row(3, 'a')], [event(1, 'a'), event(2, 'b')], choosy, () => false);
    expect(ids(packed.send)).toEqual([2]);
    expect(packed.bad).toMatchObject([{ row: row(1, 'a'), code: 'EVENT_UNROUTABLE', message: 'no topic' }]);
  });

  it('blames no row of a key behind an unsent one: it waits for its turn, with all after it', () => {
    const rows = [row(1, 'a'), row(2, 'a'), row(3, 'a'), row(4, 'b'), row(5, 'b'), row(6, 'c')];
    const there = [event(1, 'a'), event(3, 'a'), event(4, 'b'), event(5, 'b'), event(6, 'c')];
    const refused = (id: string) => id === '5' || id === '6';
    const packed = pack(rows, there, route, () => false, refused);
    expect(ids(packed.send)).toEqual([1, 4, 6]);
    expect(packed.bad).toEqual([]);
  });
});

describe('settling a batch', () => {
  const sent = [routed(1, 0), routed(2, 1), routed(3, 0)];
  const yes = (partition: number, count: number) => ({ topic: 't', partition, baseOffset: null, count });
  const no = (partition: number, refused?: number[]) => ({ topic: 't', partition, error, refused });
  const report = (acknowledged: PublishReport['acknowledged'], failed: PublishReport['failed'] = []) => ({
    acknowledged,
    failed,
  });

  it('acknowledges exactly what the answer names', () => {
    const settled = settle(sent, report([yes(0, 2)], [no(1)]));
    expect(ids(settled.acknowledged)).toEqual([1, 3]);
    expect(settled.failures).toMatchObject([{ cause: 't/1', refused: false, ids: ['2'], keyHashes: ['k2'] }]);
  });

  it('takes silence, a short count and a partition in both lists as failures', () => {
    for (const answer of [
      report([yes(1, 1)]),
      report([yes(0, 1), yes(1, 1)]),
      report([yes(0, 2), yes(1, 1)], [no(0)]),
    ]) {
      const settled = settle(sent, answer);
      expect(ids(settled.acknowledged)).toEqual([2]);
      expect(settled.failures).toMatchObject([{ cause: 't/0', ids: ['1', '3'] }]);
    }
  });

  it('holds only the key of a refused event; its neighbours go again at once', () => {
    const settled = settle(sent, report([yes(1, 1)], [no(0, [2])]));
    expect(ids(settled.acknowledged)).toEqual([2]);
    expect(settled.failures).toMatchObject([{ cause: 'key k3', refused: true, ids: ['3'], keyHashes: ['k3'] }]);
    expect(ids(settled.again)).toEqual([1]);
  });

  it('takes several refused events of one key as one failure, of the first of them', () => {
    const ofOneKey = [routed(1, 0, 'k'), routed(2, 0, 'other'), routed(3, 0, 'k')];
    const settled = settle(ofOneKey, report([], [no(0, [0, 2])]));
    expect(settled.failures).toMatchObject([
      { cause: 'key k', refused: true, ids: ['1', '3'], first: { row: { id: '1' } } },
    ]);
    expect(ids(settled.again)).toEqual([2]);
  });

  it('acknowledges nothing where the whole call failed', () => {
    const settled = settleAsFailed(sent, error);
    expect(settled.acknowledged).toEqual([]);
    expect(settled.failures.flatMap((failure) => failure.ids).sort()).toEqual(['1', '2', '3']);
  });
});

describe('keys that wait after a failure', () => {
  it('wait longer each time, up to a limit', () => {
    expect([1, 2, 3, 4, 5, 100].map((attempt) => backoffMs(attempt, backoff))).toEqual([
      100, 200, 400, 800, 1_000, 1_000,
    ]);
  });

  it('wait until their time, join the partition that they are on, and go when it works again', () => {
    const holds = new Holds();
    holds.fail('t/1', ['a'], 0, backoff);
    holds.join('t/1', 'b');
    holds.join('t/2', 'c'); // nothing is wrong with t/2
    expect(['a', 'b', 'c'].map((key) => holds.isHeld(key, 50))).toEqual([true, true, false]);
    expect(holds.nextTryMs(50)).toBe(100);
    expect(holds.isHeld('a', 100)).toBe(false);
    expect(holds.fail('t/1', ['a'], 100, backoff)).toEqual({ pauseMs: 200, attempts: 2 });
    expect(holds.isHeld('b', 250)).toBe(true);
    expect(holds.heldKeys(250, 9)).toEqual(['a', 'b']);
    expect(holds.heldKeys(250, 1)).toEqual(['a']);
    expect(holds.heldUntilMs('b', 250)).toBe(300);
    holds.succeed('t/1');
    expect(holds.keys).toBe(0);
    expect(holds.nextTryMs(150)).toBe(null);
    expect(holds.fail('t/1', ['a'], 400, backoff)).toEqual({ pauseMs: 100, attempts: 1 });
  });
});

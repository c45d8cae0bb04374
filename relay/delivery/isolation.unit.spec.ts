import { describe, expect, it } from '@jest/globals';
import { KafkaError } from '../../kafka/errors.ts';
import type { Routed } from '../batch/pack.ts';
import { Isolation } from './isolation.ts';

/** Partition = key; three events of each of eight keys. */
const batch = Array.from({ length: 24 }, (_, at) => routed(String(at + 1), at % 8));
const away = new KafkaError('KAFKA_UNAVAILABLE', 'away', { retryable: true });
const tooLarge = new KafkaError('KAFKA_MESSAGE_TOO_LARGE', 'too large', { retryable: false });

function routed(id: string, key: number): Routed {
  return { row: { id, day: '', keyHash: `k${key}` }, event: {}, topic: 't', partition: key } as unknown as Routed;
}

/** Sends until something is held; what succeeds is taken out of the batch. */
function find(rows: readonly Routed[], isBad: (one: Routed) => boolean, error: KafkaError) {
  const isolation = new Isolation();
  let left = [...rows];
  for (let attempts = 1; attempts < 50; attempts++) {
    const sent = isolation.choose(left);
    if (!sent.some(isBad)) {
      isolation.succeeded(sent);
      left = left.filter((one) => !sent.includes(one));
      continue;
    }
    const [failure] = isolation.failed(sent, error);
    if (failure) return { failure, attempts, isolation, left };
  }
  throw new Error('not found');
}

describe('isolation', () => {
  it('sends all of a batch as long as nothing fails', () => {
    const isolation = new Isolation();
    expect(isolation.choose(batch)).toBe(batch);
    isolation.succeeded(batch);
    expect(isolation.choose(batch)).toBe(batch);
  });

  it.each([0, 3, 7])('finds a broken partition by halving (%i of 8)', (bad) => {
    const { failure, attempts } = find(batch, ({ partition }) => partition === bad, away);
    expect(failure).toMatchObject({ cause: `t/${bad}`, refused: false, keyHashes: [`k${bad}`] });
    expect(failure.ids).toEqual([bad + 1, bad + 9, bad + 17].map(String));
    expect(attempts).toBeLessThan(10);
  });

  it.each(['1', '12', '24'])('finds a refused event by halving, and sends it alone when it comes again (%s)', (bad) => {
    const { failure, attempts, isolation, left } = find(batch, ({ row }) => row.id === bad, tooLarge);
    const { keyHash } = batch[Number(bad) - 1]!.row;
    expect(failure).toMatchObject({ cause: `key ${keyHash}`, refused: true, ids: [bad], keyHashes: [keyHash] });
    expect(attempts).toBeLessThan(20);
    expect(isolation.choose(left).map(({ row }) => row.id)).toEqual([bad]);
    isolation.succeeded(isolation.choose(left));
    expect(isolation.choose(batch)).toBe(batch);
  });

  it('keeps the order of each key in whatever part it chooses', () => {
    const isolation = new Isolation();
    let left: readonly Routed[] = batch;
    for (let round = 0; round < 6; round++) {
      const sent = isolation.choose(left);
      for (const key of new Set(sent.map(({ row }) => row.keyHash))) {
        const of = (rows: readonly Routed[]) => rows.filter(({ row }) => row.keyHash === key).map(({ row }) => row.id);
        expect(of(left).slice(0, of(sent).length)).toEqual(of(sent));
      }
      if (isolation.failed(sent, tooLarge).length > 0) break;
      left = batch;
    }
    expect(isolation.choose(batch).length).toBeLessThan(3);
  });

  it('sends nothing of a key behind an event of it that is left out, where a key has events in several topics', () => {
    const isolation = new Isolation();
    const mixed = Array.from({ length: 12 }, (_, at) => ({
      ...routed(String(at + 1), at % 4),
      topic: at % 3 === 1 ? 'other' : 't',
    }));
    expect(isolation.failed(mixed, away)).toEqual([]); // of eight partitions, the next try has four
    expect(isolation.choose(mixed).map(({ row }) => row.id)).toEqual(['1', '2', '3', '4', '7']);
  });

  it('holds at once what the client names, and only that', () => {
    const isolation = new Isolation();
    const failed = [
      { topic: 't', partition: 2, error: tooLarge, refused: [2] },
      { topic: 't', partition: 5, error: away },
    ];
    const error = new KafkaError('KAFKA_UNAVAILABLE', 'x', { retryable: true, failed });
    expect(isolation.failed(batch, error)).toMatchObject([
      { cause: 'key k2', refused: true, ids: ['3'] },
      { cause: 't/5', refused: false, ids: ['6', '14', '22'] },
    ]);
    const others = batch.filter(({ row }) => !['k2', 'k5'].includes(row.keyHash));
    expect(isolation.choose(others)).toBe(others);
  });
});

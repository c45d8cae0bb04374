import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { PoolConnection } from 'mysql2/promise';
import { eventually } from '../../testing/until.ts';
import { openRealSource, type RealSource } from '../testing/real-source.ts';
import { createMysqlStore } from './mysql-store.ts';
import type { RowsOfBucket, SourceStore } from './store.ts';

const buckets = Array.from({ length: 8 }, (_, bucket) => bucket);
const keys = Array.from({ length: 100 }, (_, index) => `${9_000_000_000 + index}`);

let source: RealSource;
let store: SourceStore;
let writer: PoolConnection;

beforeAll(async () => {
  source = await openRealSource();
  store = createMysqlStore({ url: source.url, leaseTimeoutMs: 2_500 });
  writer = await source.pool.getConnection();
});
afterAll(async () => {
  writer.release();
  await store.close();
  await source.drop();
});

/** The oldest rows of each bucket, at most so many of each. */
async function oldest(limit: number): Promise<RowsOfBucket[]> {
  const heads = await Promise.all(buckets.map((bucket) => store.readHead(bucket, limit, [])));
  return heads.map((rows, bucket) => ({ bucket, ids: rows.map(({ id }) => id) })).filter(({ ids }) => ids.length > 0);
}

async function openTransaction(): Promise<void> {
  await writer.query('START TRANSACTION');
  await source.write(
    keys.map((key) => ({ key, version: 2 })),
    writer,
  );
}

/** With an open transaction in every bucket, whose end no delete may wait for. */
async function deletesAtOnce(parts: readonly RowsOfBucket[]): Promise<number> {
  let deleted: number | undefined;
  const deleting = store.delete(parts).then((rows) => {
    deleted = rows;
  });
  await eventually(() => deleted !== undefined, 20_000).catch(() => undefined);
  await writer.query('ROLLBACK');
  const inTime = deleted;
  await deleting;
  if (inTime === undefined) throw new Error('the delete waited for a writer');
  return inTime;
}

describe('deleting sent rows while a writer has not committed', () => {
  beforeEach(async () => {
    await source.write(keys.map((key) => ({ key, version: 1 })));
    await openTransaction();
  });
  afterEach(async () => {
    await writer.query('ROLLBACK');
    await source.pool.query('DELETE FROM outbox_pending');
  });

  it.each([
    ['some rows of all buckets', 5, 8],
    ['most rows of all buckets', 50, 8],
    ['some rows of four buckets', 8, 4],
    ['all rows of one bucket', 50, 1],
    ['one row', 1, 1],
  ])('%s: waits for nobody', async (_, rows, count) => {
    const parts = (await oldest(rows)).slice(0, count);
    const asked = parts.flatMap(({ ids }) => ids).length;
    expect(await deletesAtOnce(parts)).toBe(asked);
    expect(await source.unsent()).toBe(keys.length - asked);
  });

  it('a thousand rows: waits for nobody', async () => {
    await source.write(Array.from({ length: 1_000 }, (_, index) => ({ key: keys[0]!, version: 3 + index })));
    const ofKey = (await oldest(2_000)).filter(({ ids }) => ids.length >= 1_000);
    expect(ofKey).toHaveLength(1);
    expect(await deletesAtOnce(ofKey)).toBe(ofKey[0]!.ids.length);
  });

  it('rows of blocked keys: waits for nobody', async () => {
    await source.pool.query('UPDATE outbox_pending SET state = 1 WHERE bucket < 4 AND state = 0 AND version = 1');
    const [rows] = await source.pool.query('SELECT bucket, CAST(id AS CHAR) AS id FROM outbox_pending WHERE state = 1');
    const blocked = Map.groupBy(rows as { bucket: number; id: string }[], ({ bucket }) => bucket);
    const parts = [...blocked].map(([bucket, ofBucket]) => ({ bucket, ids: ofBucket.map(({ id }) => id) }));
    expect(await deletesAtOnce(parts)).toBe((rows as unknown[]).length);
  });
});

describe('reading the first unsent events of several buckets', () => {
  afterEach(() => source.pool.query('DELETE FROM outbox_pending'));

  const asks = (limit: number) => buckets.map((bucket) => ({ bucket, limit }));
  const expectHeads = async (limit: number) => {
    const answers = await store.readFirst(asks(limit));
    const heads = await Promise.all(buckets.map((bucket) => store.readHead(bucket, limit, [])));
    expect(answers.map((answer) => answer.map(({ row }) => row))).toEqual(heads);
    for (const { row, event } of answers.flat()) expect(event?.id).toBe(row.id);
  };

  it('answers all of them where they are few, in order', async () => {
    await source.write(keys.map((key) => ({ key, version: 1 })));
    await expectHeads(200);
  });

  it('answers each bucket its own, where one of them has more rows than are read at once', async () => {
    await source.write(Array.from({ length: 300 }, (_, index) => ({ key: keys[0]!, version: index + 1 })));
    await source.write(keys.slice(1).map((key) => ({ key, version: 1 })));
    await expectHeads(20);
  });
});

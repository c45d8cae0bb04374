import { afterAll, beforeAll, describe, it } from '@jest/globals';
import type { Database } from '../database/database.ts';
import { type TestDatabase, testDatabase } from '../testing/database.ts';
import { arrivalOf, testEvent } from '../testing/events.ts';
import { MysqlStoreTransaction } from './mysql-transaction.ts';

const consumer = 1;
const events = Array.from({ length: 60 }, (_, index) => testEvent(String(1000 + index), 2));
const streams = events.map((event) => ({ ...event, version: 0n, occurredAtMs: 0 }));
/** Most of them, so that the optimizer would rather read all. */
const [held, ...others] = [30, ...Array.from({ length: 60 }, (_, index) => index).filter((index) => index !== 30)];

let database: TestDatabase;
let pool: Database;

beforeAll(async () => {
  database = await testDatabase();
  pool = database.pool();
});
afterAll(() => database.close());

type Work = (tx: MysqlStoreTransaction) => Promise<unknown>;

/** Does `work` beside an open transaction that did `before`. Rejects where it has to wait for that one. */
async function beside(before: Work, work: Work): Promise<void> {
  const transaction = (body: Work) => pool.transaction((tx) => body(new MysqlStoreTransaction(tx, consumer)));
  await transaction(async (first) => {
    await before(first);
    await transaction(async (second) => {
      await second.handlerTransaction.write('SET SESSION innodb_lock_wait_timeout = 1');
      await work(second);
    });
  });
}

describe('a batch beside another one that is not committed', () => {
  it('locks its own streams and waits for no other', async () => {
    await pool.transaction((tx) => new MysqlStoreTransaction(tx, consumer).lockStreams(streams));
    await beside(
      (tx) => tx.lockStreams([streams[held!]!]),
      (tx) => tx.lockStreams(others.map((index) => streams[index]!)),
    );
  });

  it('takes its own parked events and waits for no other', async () => {
    const arrivals = events.map((event) => arrivalOf(event));
    await pool.transaction((tx) => new MysqlStoreTransaction(tx, consumer).park(arrivals));
    await beside(
      (tx) => tx.unpark([arrivals[held!]!]),
      (tx) => tx.unpark(others.map((index) => arrivals[index]!)),
    );
  });
});

import { afterAll, afterEach, beforeAll } from '@jest/globals';
import type { Baseline } from '../apply.ts';
import type { Database } from '../database/database.ts';
import { mysqlStore } from '../store/mysql.ts';
import type { InboxHandler, InboxMode } from '../types.ts';
import { createWorker } from '../worker.ts';
import { type TestDatabase, testDatabase, writesEffects } from './database.ts';
import { batchOf } from './events.ts';
import { recordedMetrics } from './recorded-metrics.ts';
import { workerOptions } from './worker.ts';

interface MemberOptions {
  mode?: InboxMode;
  on?: Database;
  baseline?: Baseline;
}

/** An inbox on MySQL without Kafka, for a test file: each test has a group of its own. */
export function useMysqlInbox() {
  const given = {} as { database: TestDatabase };
  let group = 0;

  beforeAll(async () => {
    given.database = await testDatabase();
  });
  afterAll(() => given.database.close());
  afterEach(async () => {
    group++;
    await given.database.rows('DELETE FROM effects');
  });
  const nameOf = () => `test-${group}`;

  return Object.assign(given, {
    consumer: nameOf,

    /** A consumer process of this test's group: the worker, with connections of its own. */
    member(handler: InboxHandler = writesEffects, { mode = 'state', on, baseline }: MemberOptions = {}) {
      const metrics = recordedMetrics();
      const store = mysqlStore({ database: on ?? given.database.pool(), consumer: nameOf(), mode });
      const options = workerOptions({ store, mode, metrics, handlers: { '*': handler } });
      const worker = createWorker(baseline === undefined ? options : { ...options, baseline });
      const process = (events: Parameters<typeof batchOf>[0], offset = 0n) =>
        worker.process(batchOf(events, { topic: 'test.like', partition: 0, offset }), new AbortController().signal);
      return { process, store, worker, metrics: metrics.sums };
    },

    /** Rows of this test's group. */
    async count(table: string, where = '1 = 1'): Promise<number> {
      const [row] = await given.database.rows<{ n: number }>(
        `SELECT COUNT(*) AS n FROM ${table} WHERE ${where} AND consumer = (SELECT id FROM inbox_consumer WHERE name = '${nameOf()}')`,
      );
      return row!.n;
    },
  });
}

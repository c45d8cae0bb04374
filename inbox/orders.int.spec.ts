import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { EventEnvelope } from '../events/envelope.ts';
import { mysqlStore } from './store/mysql.ts';
import { type TestDatabase, testDatabase } from './testing/database.ts';
import { batchOf, testEvent } from './testing/events.ts';
import { workerOptions } from './testing/worker.ts';
import type { InboxMode } from './types.ts';
import { createWorker } from './worker.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.close());

function memberOf(mode: InboxMode) {
  const store = mysqlStore({ database: database.pool(), consumer: mode, mode });
  return createWorker(workerOptions({ store, mode, batchSize: 1000 }));
}

function* ordersOf<Item>(items: readonly Item[]): Generator<Item[]> {
  if (items.length === 0) yield [];
  for (const [index, item] of items.entries()) {
    for (const rest of ordersOf(items.toSpliced(index, 1))) yield [item, ...rest];
  }
}

/** For each of the 120 orders an aggregate of its own, whose five versions come in that order, each with a duplicate. */
const lines: EventEnvelope[][] = [...ordersOf([1, 2, 3, 4, 5])].map((order, index) =>
  order
    .flatMap((version, at) => [version, order[Math.max(0, at - 1)]!])
    .map((each) => testEvent(String(index + 1), each)),
);

describe.each(['state', 'sequence'] as const)(
  'all 120 orders of five versions with duplicates, on MySQL (%s)',
  (mode) => {
    it('have one end, whichever of three members takes them and however they are batched', async () => {
      await database.rows('DELETE FROM effects');
      const members = [memberOf(mode), memberOf(mode), memberOf(mode)];
      const take = (member: number, events: EventEnvelope[]) =>
        members[member]!.process(batchOf(events), new AbortController().signal);
      for (let at = 0; at < 10; at += 2) {
        const pairs = lines.map((line) => line.slice(at, at + 2));
        // two members take the same events at the same time, in parts that overlap
        await Promise.all([take(at % 3, pairs.flat()), take((at + 1) % 3, pairs.slice(0, 60).flat())]);
        await take((at + 2) % 3, pairs.slice(30).flat());
      }
      const byAggregate = Map.groupBy(await database.effects(), (effect) => effect.split('.')[0]!);
      expect(byAggregate.size).toBe(120);
      for (const [id, effects] of byAggregate) {
        const versions = effects.map((effect) => Number(effect.slice(id.length + 1)));
        expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
        expect(versions.at(-1)).toBe(5);
        if (mode === 'sequence') expect(versions).toEqual([1, 2, 3, 4, 5]);
      }
      const streams = await database.rows(
        `SELECT DISTINCT s.version, s.parked FROM inbox_stream s JOIN inbox_consumer c ON c.id = s.consumer WHERE c.name = '${mode}'`,
      );
      expect(streams).toEqual([{ version: 5, parked: 0 }]);
    });
  },
);

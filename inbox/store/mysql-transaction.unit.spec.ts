import { describe, expect, it } from '@jest/globals';
import type { DatabaseTransaction } from '../database/database.ts';
import { streamKey } from '../plan.ts';
import { MysqlStoreTransaction } from './mysql-transaction.ts';
import type { NewStream } from './store.ts';

const incarnation = '00000000-0000-4000-8000-000000000001';
const stream = (aggregateId: string): NewStream => ({
  ...{ source: 'like', aggregateType: 'article', aggregateId, incarnation, version: 0n, occurredAtMs: 0 },
});

/** `inbox_stream` and `inbox_offset`, as a server reads these statements; somebody else is at work on them too. */
class Tables {
  readonly streams = new Map<string, number>();
  readonly locked = new Set<string>();
  offset = 0;
  /** What another transaction does just before rows are made. */
  meanwhile = () => {};

  transaction(): DatabaseTransaction {
    return {
      rows: async (sql) => {
        const ids = /aggregate_id IN \(([^)]*)\)/
          .exec(sql)![1]!
          .split(',')
          .map((id) => id.replaceAll("'", ''));
        const found = ids.filter((id) => this.streams.has(id));
        // A row that is not there is not locked by reading it.
        if (/FOR UPDATE\s*$/.test(sql)) for (const id of found) this.locked.add(id);
        const uuid = Buffer.from(incarnation.replaceAll('-', ''), 'hex');
        return found.map((id) => [Buffer.from(id), uuid, String(this.streams.get(id)), '0', 0]);
      },
      write: async (sql) => {
        if (sql.includes('INTO inbox_offset')) {
          const next = Number(/\(1,'t',0,(\d+),/.exec(sql)![1]);
          const kept = /next_offset = GREATEST\(next_offset, VALUES\(next_offset\)\)/.test(sql);
          this.offset = kept ? Math.max(this.offset, next) : next;
        } else {
          this.meanwhile();
          for (const [, id] of sql.matchAll(/\(1,'like','article','(\w+)'/g)) {
            if (!this.streams.has(id!)) this.streams.set(id!, 0);
          }
        }
        return { affectedRows: 1, insertId: 0 };
      },
      query: async () => [],
    };
  }
}

describe('a transaction on the inbox tables', () => {
  it('makes stream rows that are missing, then locks and reads them: another may have made and moved them meanwhile', async () => {
    const tables = new Tables();
    tables.streams.set('a', 3);
    tables.meanwhile = () => tables.streams.set('b', 7);
    const found = await new MysqlStoreTransaction(tables.transaction(), 1).lockStreams(['b', 'a', 'c'].map(stream));
    const versions = ['a', 'b', 'c'].map((id) => found.get(streamKey(stream(id)))!.version);
    expect(versions).toEqual([3n, 7n, 0n]);
    expect([...tables.locked].sort()).toEqual(['a', 'b', 'c']);
  });

  it('never takes a stored offset back', async () => {
    const tables = new Tables();
    const transaction = new MysqlStoreTransaction(tables.transaction(), 1);
    for (const offset of [5n, 9n, 7n]) await transaction.writeOffsets([{ topic: 't', partition: 0, offset }]);
    expect(tables.offset).toBe(9);
  });
});

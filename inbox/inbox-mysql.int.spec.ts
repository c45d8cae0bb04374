import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { soon } from '../testing/until.ts';
import type { Baseline } from './apply.ts';
import { systemClock } from './clock.ts';
import type { Database } from './database/database.ts';
import { mysqlStore } from './store/mysql.ts';
import { type TestDatabase, testDatabase, writesEffects } from './testing/database.ts';
import { batchOf, brokenMessage, testCatalogue, testEvent } from './testing/events.ts';
import { recordedMetrics } from './testing/recorded-metrics.ts';
import type { InboxHandler, InboxMode } from './types.ts';
import { createWorker } from './worker.ts';

let database: TestDatabase;
let consumer = 0;
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.close());
afterEach(async () => {
  consumer++;
  await database.rows('DELETE FROM effects');
});

/** A consumer process of this test's group: the worker, with connections of its own. */
function member(
  handler: InboxHandler = writesEffects,
  options: { mode?: InboxMode; on?: Database; baseline?: Baseline } = {},
) {
  const { mode = 'state', baseline = 'first-version' } = options;
  const metrics = recordedMetrics();
  const store = mysqlStore({ database: options.on ?? database.pool(), consumer: `test-${consumer}`, mode });
  const worker = createWorker({
    store,
    mode,
    catalogue: testCatalogue,
    handlers: { '*': handler },
    clock: systemClock,
    metrics,
    logger: quiet,
    random: Math.random,
    batchSize: 500,
    handlerAttempts: 2,
    handlerTimeoutMs: 10_000,
    parkedLimit: 100,
    baseline,
  });
  const process = (events: Parameters<typeof batchOf>[0], offset = 0n) =>
    worker.process(batchOf(events, { topic: 'test.like', partition: 0, offset }), new AbortController().signal);
  return { process, store, worker, metrics: metrics.sums };
}

const count = async (table: string, where = '1 = 1') => {
  const [row] = await database.rows<{ n: number }>(
    `SELECT COUNT(*) AS n FROM ${table} WHERE ${where} AND consumer = (SELECT id FROM inbox_consumer WHERE name = 'test-${consumer}')`,
  );
  return row!.n;
};

/** The server renews this table only when nobody has read it for 100 ms. */
const somebodyWaits = async () => {
  const name = new URL(database.url).pathname.slice(1);
  const rows = await database.rows(
    `SELECT t.trx_id FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p ON p.id = t.trx_mysql_thread_id
     WHERE t.trx_state = 'LOCK WAIT' AND p.db = '${name}'`,
  );
  return rows.length > 0;
};

describe('an inbox on MySQL', () => {
  it('makes one effect of an event that comes 100 times over three consumers', async () => {
    const members = [member(), member(), member()];
    const event = testEvent('1', 1);
    await Promise.all(
      members.flatMap(({ process }, index) =>
        Array.from({ length: index === 0 ? 34 : 33 }, (_, time) => process([event], BigInt(time))),
      ),
    );
    expect(await database.effects()).toEqual(['1.1']);
    expect(await count('inbox')).toBe(1);
    const sum = (name: string) => members.reduce((total, { metrics }) => total + (metrics[name] ?? 0), 0);
    expect(sum('inbox.events.applied.total')).toBe(1);
    expect(sum('inbox.events.duplicate.total')).toBe(99);
    expect(sum('inbox.alarms.total unseen-below-watermark')).toBe(0);
  });

  it('makes each effect once where a batch comes again after the commit', async () => {
    const events = Array.from({ length: 1200 }, (_, index) =>
      testEvent(String(1 + (index % 7)), 1 + Math.floor(index / 7)),
    );
    expect(await member().process(events)).toBe(1200n);
    expect(await member().process(events)).toBe(1200n);
    const effects = await database.effects();
    expect(effects).toHaveLength(1200);
    expect(new Set(effects).size).toBe(1200);
    expect(await count('inbox_stream')).toBe(7);
  });

  it('knows an event by its id also where its watermark is lost', async () => {
    const { process, metrics } = member();
    await process([testEvent('1', 1), testEvent('1', 2)]);
    await database.rows('DELETE FROM inbox_stream');
    await process([testEvent('1', 1), testEvent('1', 2), testEvent('1', 3)], 2n);
    expect(await database.effects()).toEqual(['1.1', '1.2', '1.3']);
    expect(metrics).toMatchObject({ 'inbox.retries.total known-id': 1, 'inbox.alarms.total seen-above-watermark': 2 });
  });

  it('leaves nothing of an event whose handler throws but a dead letter', async () => {
    const { process } = member({
      async handle(tx, event) {
        await tx.write('INSERT INTO effects (what) VALUES (?)', [event.eventId]);
        throw new RangeError('not this one');
      },
    });
    await process([testEvent('1', 1)]);
    expect(await database.effects()).toEqual([]);
    expect([await count('inbox'), await count('inbox_stream')]).toEqual([0, 0]);
    const [letter] = await database.rows<Record<string, Buffer | unknown>>(
      'SELECT * FROM dead_letter ORDER BY id DESC LIMIT 1',
    );
    expect({
      ...letter,
      event_type: String(letter!.event_type),
      aggregate_id: String(letter!.aggregate_id),
      message_key: String(letter!.message_key),
      message_value: String(letter!.message_value),
    }).toMatchObject({
      reason: 'handler',
      detail: 'RangeError: not this one',
      attempts: 2,
      event_type: 'Counted',
      aggregate_id: '1',
      version: 1,
      state: 'waiting',
      kafka_partition: 0,
      kafka_offset: 0,
      message_key: '1',
      message_value: '{"count":1}',
    });
    expect(JSON.parse(String(letter!.headers))).toMatchObject({
      ce_type: Buffer.from('Counted').toString('base64'),
    });
  });

  it('puts poison among the dead letters once, while the rest flows', async () => {
    const { process } = member();
    const batch = [testEvent('1', 1), brokenMessage('1'), testEvent('1', 2), testEvent('2', 1)];
    await process(batch);
    await process(batch);
    expect(await database.effects()).toEqual(['1.1', '1.2', '2.1']);
    expect(await count('dead_letter', "reason = 'malformed' AND attempts = 2 AND kafka_offset = 1")).toBe(1);
    expect(await count('dead_letter')).toBe(1);
    expect(await count('inbox_offset', 'next_offset = 4')).toBe(1);
  });

  it('stores more poison at once than fits into one packet of the server', async () => {
    const value = Buffer.alloc(500_000, 'x');
    const { process } = member();
    expect(await process(Array.from({ length: 24 }, () => ({ ...brokenMessage('1'), value })))).toBe(24n);
    expect(await count('dead_letter', 'LENGTH(message_value) = 500000')).toBe(24);
  });

  it.each([
    ['without a row, the newer one first', 0, 2, 1, ['1.2']],
    ['without a row, the older one first', 0, 1, 2, ['1.1', '1.2']],
    ['with a row, the newer one first', 1, 3, 2, ['1.1', '1.3']],
    ['with a row, the older one first', 1, 2, 3, ['1.1', '1.2', '1.3']],
  ])('lets two consumers race on an aggregate %s', async (_name, before, first, second, expected) => {
    if (before > 0) await member().process([testEvent('1', before)]);
    let begun = false;
    let overtaken = false;
    const one = member({
      async handleBatch(tx, events) {
        await writesEffects.handleBatch!(tx, events);
        begun = true;
        await soon('the second consumer to wait', async () => overtaken || (await somebodyWaits()), 150);
      },
    });
    const two = member({
      async handleBatch(tx, events) {
        overtaken = true;
        await writesEffects.handleBatch!(tx, events);
      },
    });
    const running = one.process([testEvent('1', first)], 1n);
    await soon('the first consumer to begin', () => begun);
    await two.process([testEvent('1', second)], 2n);
    await running;
    expect(await database.effects()).toEqual(expected);
    expect(await count('inbox_stream', `version = ${Math.max(first, second)}`)).toBe(1);
    expect(await count('inbox')).toBe(before + 2);
  });

  it('takes a batch again that was chosen as the victim of a deadlock', async () => {
    await database.rows('CREATE TABLE IF NOT EXISTS pair (id INT PRIMARY KEY, hits INT) ENGINE=InnoDB');
    await database.rows('REPLACE INTO pair VALUES (1, 0), (2, 0)');
    const reached = new Set<number>();
    const crossing = (mine: number, others: number): InboxHandler => ({
      async handleBatch(tx, events) {
        await tx.write('UPDATE pair SET hits = hits + 1 WHERE id = ?', [mine]);
        reached.add(mine);
        await soon('both to hold a row', () => reached.size === 2);
        await tx.write('UPDATE pair SET hits = hits + 1 WHERE id = ?', [others]);
        await writesEffects.handleBatch!(tx, events);
      },
    });
    const [a, b] = [member(crossing(1, 2)), member(crossing(2, 1))];
    await Promise.all([a.process([testEvent('1', 1)]), b.process([testEvent('2', 1)], 1n)]);
    expect((await database.effects()).sort()).toEqual(['1.1', '2.1']);
    expect(await database.rows('SELECT hits FROM pair')).toEqual([{ hits: 2 }, { hits: 2 }]);
    expect((a.metrics['inbox.retries.total conflict'] ?? 0) + (b.metrics['inbox.retries.total conflict'] ?? 0)).toBe(1);
    expect(await count('dead_letter')).toBe(0);
  });

  it('does not commit what follows a deadlock that a handler swallowed', async () => {
    let attempts = 0;
    const { process, metrics } = member({
      async handleBatch(tx, events) {
        if (attempts++ === 0) {
          await tx.write("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213").catch(() => undefined);
          await tx.write("INSERT INTO effects (what) VALUES ('lost transaction')").catch(() => undefined);
          return;
        }
        await writesEffects.handleBatch!(tx, events);
      },
    });
    await process([testEvent('1', 1)]);
    expect(await database.effects()).toEqual(['1.1']);
    expect(metrics['inbox.retries.total conflict']).toBe(1);
  });

  it('takes a batch again whose connection was killed in mid-transaction', async () => {
    let attempts = 0;
    const { process, metrics } = member({
      async handleBatch(tx, events) {
        await writesEffects.handleBatch!(tx, events);
        if (attempts++ > 0) return;
        const [row] = await tx.query<{ id: string }>('SELECT CONNECTION_ID() AS id');
        await database.rows(`KILL CONNECTION ${row!.id}`);
      },
    });
    await process([testEvent('1', 1), testEvent('2', 1)]);
    expect(await database.effects()).toEqual(['1.1', '2.1']);
    expect(metrics['inbox.retries.total away']).toBeGreaterThanOrEqual(1);
  });

  it('refuses statements after the end of the transaction', async () => {
    let leaked: Promise<unknown> | undefined;
    const { process } = member({
      async handleBatch(tx, events) {
        await writesEffects.handleBatch!(tx, events);
        leaked = new Promise((resolve) => setTimeout(resolve, 100)).then(() =>
          tx.write("INSERT INTO effects (what) VALUES ('late')"),
        );
        leaked.catch(() => undefined);
      },
    });
    await process([testEvent('1', 1)]);
    await expect(leaked).rejects.toMatchObject({ code: 'INBOX_TRANSACTION_OVER' });
    expect(await database.effects()).toEqual(['1.1']);
  });

  it('never moves a stored offset backwards, but where it is reset', async () => {
    const { process, store } = member();
    const place = { topic: 'test.like', partition: 0 };
    await process([testEvent('1', 1)], 41n);
    await process([testEvent('1', 1)], 7n);
    expect(await store.offsets([place, { topic: 'test.like', partition: 1 }])).toMatchObject([
      { ...place, offset: 42n },
    ]);
    await store.resetOffset({ ...place, offset: 5n });
    expect(await store.offsets([place])).toMatchObject([{ offset: 5n }]);
    const [offset] = await store.allOffsets();
    expect(Math.abs(offset!.updatedAt.getTime() - Date.now())).toBeLessThan(60_000);
  });

  it('holds events, offsets and versions above 2^53', async () => {
    const { process, store } = member();
    const id = '9223372036854775807';
    const big = { ...testEvent('1', 1), aggregateId: id, version: 9_007_199_254_740_993n };
    expect(await process([big], 9_007_199_254_740_993n)).toBe(9_007_199_254_740_994n);
    await process([big]);
    expect(await database.effects()).toEqual([`${id}.9007199254740993`]);
    expect(await store.allOffsets()).toMatchObject([{ offset: 9_007_199_254_740_994n }]);
  });

  it('tells ids apart that differ in case, accents or trailing spaces', async () => {
    const { process } = member();
    const ids = ['a', 'A', 'á', 'a ', "a'b\\"];
    const events = ids.map((aggregateId, index) => ({
      ...testEvent(String(index + 1), 1),
      aggregateId,
    }));
    await process(events);
    expect(await database.effects()).toEqual(ids.map((id) => `${id}.1`));
    expect(await count('inbox_stream')).toBe(5);
  });

  it('refuses a consumer in another mode than it was registered with', async () => {
    await member().process([testEvent('1', 1)]);
    await expect(member(writesEffects, { mode: 'sequence' }).store.allOffsets()).rejects.toMatchObject({
      code: 'INBOX_MODE_CHANGED',
      message: expect.stringContaining(`The inbox test-${consumer} has mode state in its database and sequence here`),
    });
  });
});

describe('a sequence inbox on MySQL', () => {
  it('parks early events in the database and applies them in order after a restart', async () => {
    const events = Array.from({ length: 5 }, (_, index) => testEvent('1', index + 1));
    const early = [events[3]!, events[1]!, events[4]!];
    await member(writesEffects, { mode: 'sequence' }).process(early);
    await member(writesEffects, { mode: 'sequence' }).process(early);
    expect(await count('inbox_parked')).toBe(3);
    expect(await count('inbox_stream', 'version = 0 AND parked = 3')).toBe(1);
    expect(await count('inbox')).toBe(0);
    await member(writesEffects, { mode: 'sequence' }).process([events[0]!], 3n);
    expect(await database.effects()).toEqual(['1.1', '1.2']);
    await member(writesEffects, { mode: 'sequence' }).process([events[2]!], 4n);
    expect(await database.effects()).toEqual(['1.1', '1.2', '1.3', '1.4', '1.5']);
    expect(await count('inbox_parked')).toBe(0);
    expect(await count('inbox_stream', 'version = 5 AND parked = 0')).toBe(1);
  });

  it('says which versions are missing and what waits for them', async () => {
    const { process, store } = member(writesEffects, { mode: 'sequence' });
    const later = { incarnation: 'bbbbbbbb-0000-4000-8000-000000000002', occurredAt: new Date(1_800_000_000_000) };
    await process([
      ...[1, 4, 6].map((version) => testEvent('1', version)),
      testEvent('2', 1),
      testEvent('3', 2),
      testEvent('2', 3, { ...later, eventId: '018bcfe5-6801-7000-8000-00000000abcd' }),
    ]);
    const gaps = await store.gaps(0, 10);
    const [one, two, three] = gaps.toSorted((a, b) => Number(a.aggregateId) - Number(b.aggregateId));
    expect(gaps).toHaveLength(3);
    expect(one).toMatchObject({
      aggregateId: '1',
      version: 2n,
      firstParked: 4n,
      parked: 2,
      topic: 'test.like',
      partition: 0,
    });
    expect(two).toMatchObject({ aggregateId: '2', version: 1n, firstParked: 3n, incarnation: later.incarnation });
    expect(three).toMatchObject({ aggregateId: '3', version: 1n, firstParked: 2n });
    expect(one!.ageMs).toBeLessThan(20_000);
    expect(await store.gaps(60_000, 10)).toEqual([]);
    expect(await store.gaps(0, 1)).toHaveLength(1);
    expect(await store.backlog()).toMatchObject({ parked: 4, deadLetters: 0 });
  });

  it('goes on past a version by hand; what was parked before it becomes a dead letter', async () => {
    const { process, store, worker } = member(writesEffects, { mode: 'sequence' });
    await process([1, 3, 5, 6].map((version) => testEvent('1', version)));
    const [gap] = await store.gaps(0, 10);
    await worker.skip(gap!, 4n, 'lost in the fire', new AbortController().signal);
    expect(await database.effects()).toEqual(['1.1', '1.5', '1.6']);
    expect(await count('inbox_parked')).toBe(0);
    expect(await count('dead_letter', "reason = 'gap' AND version = 3 AND detail LIKE '%lost in the fire'")).toBe(1);
    await worker.skip(gap!, 2n, 'too late', new AbortController().signal);
    await process([testEvent('1', 7)], 4n);
    expect((await database.effects()).at(-1)).toBe('1.7');
  });

  it('begins where its streams are first seen, where that is its baseline', async () => {
    const { process } = member(writesEffects, { mode: 'sequence', baseline: 'first-seen' });
    await process([7, 9, 8].map((version) => testEvent('1', version)));
    expect(await database.effects()).toEqual(['1.7', '1.8', '1.9']);
  });
});

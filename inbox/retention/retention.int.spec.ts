import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../clock/clock.ts';
import { uniqueName } from '../../testing/servers.ts';
import { soon } from '../../testing/until.ts';
import { createInbox, type InboxOptions } from '../inbox.ts';
import { mysqlStore } from '../store/mysql.ts';
import { type TestDatabase, testDatabase, writesEffects } from '../testing/database.ts';
import { batchOf, testCatalogue, testEvent } from '../testing/events.ts';
import { type TestTopic, testTopic } from '../testing/kafka.ts';
import { recordedMetrics } from '../testing/recorded-metrics.ts';
import { quiet, workerOptions } from '../testing/worker.ts';
import { createWorker } from '../worker.ts';
import { Purger } from './purger.ts';
import { type InboxRetention, usualRetention } from './settings.ts';

let database: TestDatabase;
let topic: TestTopic;
/** Test events have ids of November 2023. */
const retention: InboxRetention = { ...usualRetention, endlessTopics: 'purge-ids' };

beforeAll(async () => {
  [database, topic] = await Promise.all([testDatabase(), testTopic(1)]);
});
afterAll(() => Promise.all([database.close(), topic.close()]));

function storeOf(consumer: string) {
  return mysqlStore({ database: database.pool(), consumer, mode: 'state' });
}

function purgerOf(consumer: string, owner = 'one', stepRows = 100) {
  return new Purger({
    topics: [topic.topic],
    retention,
    table: storeOf(consumer).retention!,
    admin: { topicConfig: async () => ({ 'retention.ms': '604800000', 'cleanup.policy': 'delete' }) },
    owner,
    clock: systemClock,
    metrics: recordedMetrics(),
    logger: quiet,
    stepRows,
  });
}

function workerOf(consumer: string) {
  const metrics = recordedMetrics();
  const worker = createWorker(workerOptions({ store: storeOf(consumer), mode: 'state', metrics }));
  const process = (events: Parameters<typeof batchOf>[0], offset: bigint) =>
    worker.process(batchOf(events, { topic: 'test.like', partition: 0, offset }), new AbortController().signal);
  return { process, metrics: metrics.sums };
}

async function inboxOf(group: string, options: Partial<InboxOptions> = {}) {
  const metrics = recordedMetrics();
  const inbox = createInbox({
    group,
    groupId: group,
    mode: 'state',
    topics: [topic.topic],
    catalogue: testCatalogue,
    handlers: { '*': writesEffects },
    store: storeOf(group),
    kafka: topic.kafka,
    metrics,
    maxWaitMs: 100,
    lagPollMs: 100,
    ...options,
  });
  return { inbox, metrics: metrics.sums };
}

const idsOf = async (consumer: string) => {
  const [row] = await database.rows<{ n: number }>(
    `SELECT COUNT(*) AS n FROM inbox WHERE consumer = (SELECT id FROM inbox_consumer WHERE name = '${consumer}')`,
  );
  return row!.n;
};

const recentId = (version: number) => {
  const time = (Date.now() + version).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-0000000000aa`;
};

describe('retention of an inbox', () => {
  it('removes old ids of its own consumer in steps and keeps recent ones and the watermarks', async () => {
    const old = Array.from({ length: 450 }, (_, index) =>
      testEvent(String(1 + (index % 9)), 1 + Math.floor(index / 9)),
    );
    await workerOf('mine').process(old, 0n);
    await workerOf('mine').process([testEvent('1', 51, { eventId: recentId(1) })], 450n);
    await workerOf('theirs').process(old.slice(0, 9), 0n);
    expect(await purgerOf('mine').round()).toBe(450);
    expect(await idsOf('mine')).toBe(1);
    expect(await idsOf('theirs')).toBe(9);
    expect(await database.rows('SELECT * FROM inbox_stream')).toHaveLength(18);
    expect(await purgerOf('mine').round()).toBe(0);
  });

  it('is done by one process at a time, and by another one when that is gone', async () => {
    const { retention: table } = storeOf('leased');
    expect(await table!.lease('one', 60_000)).toBe(true);
    expect(await table!.lease('two', 60_000)).toBe(false);
    expect(await table!.lease('one', 1)).toBe(true);
    await soon('the lease to end', () => table!.lease('two', 60_000));
    expect(await table!.lease('one', 60_000)).toBe(false);
  });

  it('does not hold up consumers', async () => {
    const many = (from: number) =>
      Array.from({ length: 500 }, (_, index) => testEvent(String(1 + (index % 100)), from + Math.floor(index / 100)));
    const { process, metrics } = workerOf('busy');
    for (let batch = 0; batch < 6; batch++) await process(many(1 + 5 * batch), BigInt(500 * batch));
    const purging = purgerOf('busy', 'one', 50).round();
    for (let batch = 6; batch < 12; batch++) await process(many(1 + 5 * batch), BigInt(500 * batch));
    expect(await purging).toBeGreaterThanOrEqual(3000);
    expect(metrics).toEqual({ 'inbox.events.applied.total': 6000 });
  });

  it('removes settled dead letters and old audit entries, never a letter that waits', async () => {
    const consumer = "(SELECT id FROM inbox_consumer WHERE name = 'letters')";
    await storeOf('letters').allOffsets();
    for (const [offset, state, settled] of [
      [1, 'waiting', 'NULL'],
      [2, 'replayed', "'2024-01-01'"],
      [3, 'discarded', 'UTC_TIMESTAMP(6)'],
    ]) {
      await database.rows(
        `INSERT INTO dead_letter (consumer, topic, kafka_partition, kafka_offset, timestamp_ms, headers, reason, detail, attempts,
         state, created_at, last_seen_at, settled_at) VALUES (${consumer}, 't', 0, ${offset}, 0, '{}', 'gap', '', 1, '${state}',
         '2020-01-01', '2020-01-01', ${settled})`,
      );
      await database.rows(
        `INSERT INTO dead_letter_audit (consumer, dead_letter, action, done_by, why, done_at)
         VALUES (${consumer}, ${offset}, 'edited', 'Kim', '', ${offset === 1 ? "'2020-01-01'" : 'UTC_TIMESTAMP(6)'})`,
      );
    }
    expect(await purgerOf('letters').round()).toBe(2);
    const states = await database.rows(`SELECT state FROM dead_letter WHERE consumer = ${consumer} ORDER BY id`);
    expect(states).toEqual([{ state: 'waiting' }, { state: 'discarded' }]);
    const entries = await database.rows(`SELECT dead_letter FROM dead_letter_audit WHERE consumer = ${consumer}`);
    expect(entries).toHaveLength(2);
  });

  it('changes nothing where all is read again from the earliest offset after a purge', async () => {
    await database.rows('DELETE FROM effects');
    const group = uniqueName('purged');
    const events = [1, 2, 3].flatMap((version) => ['1', '2'].map((id) => testEvent(id, version)));
    await topic.publish(events);
    const first = await inboxOf(group);
    await first.inbox.start();
    await soon('all effects', async () => (await database.effects()).length === 6);
    await soon('no lag', () => first.inbox.status().lagEvents === 0);
    await first.inbox.stop();
    const effects = await database.effects();
    expect(await purgerOf(group).round()).toBe(6);
    expect(await idsOf(group)).toBe(0);

    await storeOf(group).resetOffset({ topic: topic.topic, partition: 0, offset: 0n });
    const second = await inboxOf(group);
    await second.inbox.start();
    await soon('all to be read again', () => second.metrics['inbox.events.stale.total'] === 6);
    expect(await database.effects()).toEqual(effects);
    expect(second.metrics).not.toHaveProperty('inbox.events.applied.total');
    await topic.publish([testEvent('1', 4)]);
    await soon('what is new', () => second.metrics['inbox.events.applied.total'] === 1);
    await second.inbox.stop();
    expect(await database.effects()).toEqual([...effects, '1.4']);
  });

  it('is refused at the start where the topic itself keeps messages for longer', async () => {
    const admin = topic.kafka.admin();
    const endless = uniqueName('endless');
    await admin.createTopics([{ topic: endless, partitions: 1, config: { 'retention.ms': '-1' } }]);
    const refusedBy = async (topics: string[], settings: InboxRetention) => {
      const { inbox } = await inboxOf(uniqueName('refused'), { topics, retention: settings });
      return inbox.start().then(
        () => inbox.stop(),
        (error: unknown) => error,
      );
    };
    const config = { code: 'INBOX_CONFIG_INVALID' };
    expect(await refusedBy([topic.topic], { ...usualRetention, idsMs: 604_800_000 })).toMatchObject(config);
    expect(await refusedBy([endless], usualRetention)).toMatchObject(config);
    expect(await refusedBy([endless], retention)).toBeUndefined();
    expect(await refusedBy([topic.topic], usualRetention)).toBeUndefined();
    await admin.deleteTopics([endless]);
    await admin.close();
  });
});

import { afterEach, describe, expect, it } from '@jest/globals';
import { boardClient, type PreparedBoard, prepareBoard } from '../../board/testing/board.ts';
import { databaseUrl } from '../../config/database-url.ts';
import { boardEvents } from '../../events/board.ts';
import { envelopeOf } from '../../events/envelope.ts';
import { createInbox, type Inbox } from '../../inbox/inbox.ts';
import { mysqlStore } from '../../inbox/store/mysql.ts';
import { type TestDatabase, testDatabase, writesEffects } from '../../inbox/testing/database.ts';
import { type TestTopic, testTopic } from '../../inbox/testing/kafka.ts';
import { recordedMetrics } from '../../inbox/testing/recorded-metrics.ts';
import { createPlatformaticPort } from '../../kafka/platformatic/platformatic-port.ts';
import type { IncomingMessage, PartitionReader } from '../../kafka/port.ts';
import { outboxAsker } from '../../mixins/ask-outbox.ts';
import { createRelay, type Relay } from '../../relay/relay.ts';
import { refusing } from '../../relay/testing/refusing.ts';
import { eventually } from '../../testing/until.ts';
import { gatewayService } from '../api/gateway.ts';
import articleService from '../article/article.service.ts';
import outboxService from './outbox.service.ts';

const partitions = 3;
let board: PreparedBoard | undefined;
let topic: TestTopic | undefined;
let inboxDatabase: TestDatabase | undefined;
let relay: Relay | undefined;
let inbox: Inbox | undefined;
let reader: PartitionReader | undefined;
afterEach(async () => {
  await Promise.all([relay?.stop(), inbox?.stop(), reader?.stop()]);
  await board?.stop();
  await Promise.all([topic?.close(), inboxDatabase?.close()]);
  board = topic = inboxDatabase = relay = inbox = reader = undefined;
});

/** An edge with the article service and the operator's one, and a relay whose broker refuses version 2 of each article. */
async function edgeAndRelay() {
  board = await prepareBoard(['article']);
  topic = await testTopic(partitions);
  const node = await board.node([articleService, outboxService, gatewayService(board.config)]);
  const url = databaseUrl(board.config, 'article');
  const kafka = createPlatformaticPort({ brokers: topic.connection.brokers, clientId: 'outbox-test' });
  relay = createRelay({
    sources: [{ name: 'article', url, topic: topic.topic, partitions }],
    kafka: refusing(kafka, ({ version, type }) => version === 2 && type !== 'Skipped'),
    longestPollMs: 100,
    maxAttempts: 1,
  });
  await relay.start();
  const { request } = boardClient(node, board.config);
  const messages: IncomingMessage[] = [];
  const reading = kafka.reader({
    partitions: Array.from({ length: partitions }, (_, partition) => ({
      topic: topic!.topic,
      partition,
      from: 'beginning' as const,
    })),
    maxWaitMs: 100,
    onMessages: (batch) => void messages.push(...batch),
  });
  reader = reading;
  await reading.start();
  return { node, request, messages, stopReading: () => reading.stop() };
}

describe('the way of an event', () => {
  it('carries the trace of an HTTP request to the header of the Kafka message', async () => {
    const { request, messages, stopReading } = await edgeAndRelay();
    const traceId = 'ab'.repeat(16);
    const { status, body } = await request('POST', '/v1/articles', {
      as: '7',
      body: { boardId: '1', title: 'a', content: 'b' },
      headers: { traceparent: `00-${traceId}-${'cd'.repeat(8)}-01` },
    });
    expect(status).toBe(201);
    await eventually(() => messages.length > 0);
    await stopReading();
    expect(String(messages[0]!.key)).toBe(body.id);
    expect(envelopeOf(messages[0]!).traceparent).toMatch(new RegExp(`^00-${traceId}-(?!cdcd)[0-9a-f]{16}-01$`));
  });

  it('ends with a Skipped event where an operator drops it, and a sequence inbox goes on, asked or not', async () => {
    const { node, request, messages, stopReading } = await edgeAndRelay();
    inboxDatabase = await testDatabase();
    inbox = createInbox({
      ...{ group: 'all', groupId: `all.${topic!.topic}`, mode: 'sequence', topics: [topic!.topic] },
      catalogue: boardEvents,
      handlers: { '*': writesEffects },
      store: mysqlStore({ database: inboxDatabase.pool(), consumer: 'all', mode: 'sequence' }),
      kafka: topic!.kafka,
      metrics: recordedMetrics(),
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      ...{ maxWaitMs: 100, lagPollMs: 1_000 },
    });
    await inbox.start();
    const { id } = (
      await request('POST', '/v1/articles', { as: '7', body: { boardId: '1', title: 'a', content: 'b' } })
    ).body;
    for (const title of ['two', 'three']) {
      await request('PUT', `/v1/articles/${id}`, { as: '7', body: { title, content: 'b' } });
    }
    const deadOnes = () =>
      node.call<{ events: { id: string; version: string }[] }, object>('outbox.list', {
        source: 'article',
        state: 'dead',
      });
    await eventually(async () => (await deadOnes()).events.length === 2, 120_000, 100);
    await eventually(() => messages.length === 1);
    const ask = outboxAsker((action, params) => node.call(action, params));
    const first = envelopeOf(messages[0]!);
    const gap = (version: bigint) => ({ ...first, version }) as unknown as Parameters<typeof ask>[0];
    expect(await ask(gap(2n))).toEqual({ answer: 'dead' });
    expect(await ask(gap(9n))).toEqual({ answer: 'gone' });
    expect(await ask({ ...gap(1n), incarnation: 'other' })).toEqual({ answer: 'gone' });

    const [second] = (await deadOnes()).events;
    const dropped = { source: 'article', id: second!.id, reason: 'refused by the broker' };
    expect(await node.call('outbox.drop', dropped)).toMatchObject({ status: 'done' });
    await eventually(async () => (await inboxDatabase!.effects()).length === 2, 120_000, 100);
    expect(await inboxDatabase.effects()).toEqual([`${id}.1`, `${id}.3`]);
    await eventually(() => messages.length === 3);
    await stopReading();
    expect(messages.map(envelopeOf).map(({ version, type }) => `${version} ${type}`)).toEqual([
      ...['1 ArticleCreated', '2 Skipped', '3 ArticleUpdated'],
    ]);
    expect(await inboxDatabase.rows('SELECT version, parked FROM inbox_stream')).toMatchObject([
      { version: 3, parked: 0 },
    ]);
    expect(await inboxDatabase.rows('SELECT 1 FROM dead_letter')).toEqual([]);

    // A consumer whose Kafka no longer has it is told by the producer.
    expect(await ask(gap(2n))).toEqual({ answer: 'skipped' });
    const { key, value, headers } = messages[2]!;
    const answered = await ask(gap(3n));
    expect(answered).toMatchObject({ answer: 'event', message: { key, value } });
    expect(answered.answer === 'event' && envelopeOf(answered.message)).toEqual(envelopeOf({ key, value, headers }));
  });
});

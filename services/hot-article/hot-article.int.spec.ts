import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import moleculer, { type ServiceBroker, type ServiceSchema } from 'moleculer';
import { boardSources } from '../../events/board.ts';
import { type EventEnvelope, headersOf } from '../../events/envelope.ts';
import { partitionOf } from '../../kafka/partitioner.ts';
import { createPlatformaticPort } from '../../kafka/platformatic/platformatic-port.ts';
import type { Admin, Publisher } from '../../kafka/port.ts';
import { ensureTopics, eventTopics, topicPartitions } from '../../migrations/topics.ts';
import { addDays } from '../../ranking/days.ts';
import { testServers } from '../../testing/servers.ts';
import { soon } from '../../testing/until.ts';
import { JsonSchemaValidator } from '../../validation/validator.ts';
import { type HotList, hotListService } from '../hot-list/schema.ts';
import { hotArticleService } from './schema.ts';
import * as make from './testing/events.ts';
import { createHarness, type Harness } from './testing/harness.ts';

let harness: Harness;
let admin: Admin;
let publisher: Publisher;
const brokers: ServiceBroker[] = [];

beforeAll(async () => {
  harness = await createHarness();
  const kafka = createPlatformaticPort({ brokers: testServers().kafkaBrokers, clientId: harness.namespace });
  admin = kafka.admin();
  publisher = kafka.publisher();
  await ensureTopics({ admin, topics: eventTopics(harness.config.topicPrefix, boardSources) });
});
afterAll(async () => {
  await Promise.all(brokers.map((broker) => broker.stop()));
  await publisher.close();
  await admin.deleteTopics(boardSources.map((source) => `${harness.config.topicPrefix}.${source}`));
  await admin.close();
  await harness.close();
});

async function node(nodeID: string, ...schemas: ServiceSchema[]): Promise<ServiceBroker> {
  const broker = new moleculer.ServiceBroker({ nodeID, logger: false, validator: new JsonSchemaValidator() });
  brokers.push(broker);
  for (const schema of schemas) broker.createService(schema);
  await broker.start();
  return broker;
}

async function publish(events: readonly EventEnvelope[]): Promise<void> {
  const { failed } = await publisher.publish(
    events.map((event) => ({
      topic: `${harness.config.topicPrefix}.${event.source}`,
      partition: partitionOf(event.aggregateId, topicPartitions),
      key: Buffer.from(event.aggregateId),
      value: Buffer.from(JSON.stringify(event.payload)),
      headers: headersOf(event),
    })),
  );
  expect(failed).toEqual([]);
}

describe('the projector on Kafka', () => {
  it('serves what two of its nodes applied, knows when it is up to date, and is rebuilt by an action', async () => {
    const [first, second] = [
      await node('one', hotArticleService(harness.config)),
      await node('two', hotArticleService(harness.config)),
    ];
    const sources = boardSources.map((name) => ({ name, actions: { outboxLag: () => ({ oldestUnsentAgeMs: 0 }) } }));
    const edge = await node('edge', hotListService(harness.config), ...sources);
    const top = () => edge.call<HotList, object>('hot-list.top', { limit: 100 });

    const ids = Array.from({ length: 30 }, (_, index) => String(9_007_199_254_740_993n + BigInt(index)));
    const events = ids.flatMap((articleId, index) => [
      make.liked(articleId, 1, 1), // before its create, on another topic
      make.created(articleId, 1, { createdAt: harness.at() }),
      make.viewed(articleId, 1, index),
      make.viewed(articleId, 2, index * 2),
      ...(index === 29 ? [make.deleted(articleId, 2, { createdAt: harness.at() })] : []),
    ]);
    await publish(events);
    await publish(events); // at least once
    const expected = ids.slice(0, 29).reverse();

    await soon('the list', async () => {
      const { items, syncing } = await top();
      expect(items.map(({ articleId }) => articleId)).toEqual(expected);
      expect(items[0]).toMatchObject({ rank: 1, score: 3 + 56, likes: 1, comments: 0, views: 56 });
      return !syncing && items[28]!.likes === 1;
    });

    await harness.flush();
    expect((await top()).items.map(({ articleId }) => articleId)).toEqual(expected);
    const report = await first.call<{ articles: number }, object>('hot-article.rebuild', {});
    expect(report).toMatchObject({ articles: 29 });
    await first.call('hot-article.rebuild', { day: harness.today });
    await soon('the list from Redis', async () => (await top()).items.length === 29);
    await expect(first.call('hot-article.rebuild', { day: addDays(harness.today, -40) })).rejects.toMatchObject({
      type: 'VALIDATION_ERROR',
    });

    // one node goes: the other takes its partitions and the freshness is known again
    await second.stop();
    await publish([make.viewed(ids[3]!, 3, 1000)]);
    await soon('the list without the other node', async () => {
      const { items, syncing } = await top();
      expect(items).toHaveLength(29);
      return items[0]!.articleId === ids[3] && !syncing;
    });
    await soon(
      'Redis to have all',
      async () => (await first.call<{ dirty: number }>('hot-article.status')).dirty === 0,
    );
  });

  it('comes to the same list when all topics are replayed into an empty store', async () => {
    const edge = await node('edge-2', hotListService(harness.config));
    const top = () => edge.call<HotList, object>('hot-list.top', { limit: 100 });
    const { items } = await top();
    expect(items).toHaveLength(29);
    await brokers.find(({ nodeID }) => nodeID === 'one')!.stop();
    await harness.emptyDatabase();
    await harness.flush();
    await soon('an empty list', async () => (await top()).items.length === 0);
    await node('three', hotArticleService(harness.config));
    await soon('the same list', async () => {
      expect((await top()).items).toEqual(items);
      return true;
    });
  });
});

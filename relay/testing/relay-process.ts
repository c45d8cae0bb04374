import { headerNames } from '../../events/envelope.ts';
import { createKafkajsPort } from '../../kafka/kafkajs/index.ts';
import { createPlatformaticPort } from '../../kafka/platformatic/platformatic-port.ts';
import type { OutgoingMessage, TransactionalKafkaPort } from '../../kafka/port.ts';
import { createRelay, type RelayOptions } from '../relay.ts';
import { createMysqlStore } from '../sources/mysql-store.ts';
import type { SourceStore } from '../sources/store.ts';
import type { ChildSettings, FromChild } from './relay-child.ts';

// A relay alone in a process, told what to do by its parent; see relay-child.ts.

const settings = JSON.parse(process.argv[2]!) as ChildSettings;
const connection = { brokers: settings.brokers, clientId: settings.id, requestTimeoutMs: 2_000 };
const port = settings.adapter === 'kafkajs' ? createKafkajsPort(connection) : createPlatformaticPort(connection);
const store = createMysqlStore({
  url: settings.url,
  leaseTimeoutMs: settings.leaseMs / 2,
  statementTimeoutMs: settings.statementTimeoutMs,
});
const log = (...parts: unknown[]) => say({ kind: 'log', line: parts.map(String).join(' ') });

const relay = createRelay({
  id: settings.id,
  sources: [{ name: 'like', url: settings.url, store: telling(store) }],
  kafka: tellingPort(port),
  topicPrefix: settings.topicPrefix,
  buckets: settings.buckets,
  delivery: settings.delivery,
  leaseMs: settings.leaseMs,
  batchSize: settings.batchSize,
  deliveryTimeoutMs: 3_000,
  longestPollMs: 100,
  retry: { firstMs: 50, longestMs: 500 },
  logger: { debug: () => {}, info: log, warn: log, error: log },
});

process.on('message', async (what: 'start' | 'nudge' | 'stop') => {
  if (what === 'start') {
    await relay.start();
    say({ kind: 'started', id: relay.id });
  } else if (what === 'nudge') relay.nudge('like');
  else {
    await relay.stop();
    process.disconnect();
  }
});
process.on('disconnect', () => process.exit()); // also where the parent died
say({ kind: 'ready' });

function say(message: FromChild): void {
  if (process.connected) process.send!(message, () => undefined);
}

function telling(source: SourceStore): SourceStore {
  return {
    ...source,
    async delete(parts) {
      const removed = await source.delete(parts);
      say({ kind: 'deleted', ids: parts.flatMap(({ ids }) => ids), removed });
      return removed;
    },
  };
}

function tellingPort(kafka: TransactionalKafkaPort): RelayOptions['kafka'] {
  const eventIds = (messages: readonly OutgoingMessage[]) =>
    messages.flatMap(({ headers }) => (headers ? [String(headers[headerNames.id])] : []));
  return {
    ...kafka,
    publisher(options) {
      const publisher = kafka.publisher(options);
      return {
        ...{ close: () => publisher.close() },
        async publish(messages) {
          const report = await publisher.publish(messages);
          const there = new Set(report.acknowledged.map(({ partition }) => partition));
          say({ kind: 'published', eventIds: eventIds(messages.filter(({ partition }) => there.has(partition))) });
          return report;
        },
      };
    },
    transactionalPublisher(options) {
      const publisher = kafka.transactionalPublisher(options);
      return {
        ...{ close: () => publisher.close(), fence: () => publisher.fence() },
        async transaction(messages) {
          say({ kind: 'sending', eventIds: eventIds(messages) });
          const done = await publisher.transaction(messages);
          say({ kind: 'published', eventIds: eventIds(messages) });
          return done;
        },
      };
    },
  };
}

import { describe, expect, it } from '@jest/globals';
import type { ResultSetHeader } from 'mysql2/promise';
import { KafkaError } from '../kafka/errors.ts';
import type { OutgoingMessage, TransactionalKafkaPort } from '../kafka/port.ts';
import { eventually } from '../testing/until.ts';
import type { DeliveryMode, RelayOptions } from './options.ts';
import { createRelay, type Relay } from './relay.ts';
import { openRealSource, type RealSource } from './testing/real-source.ts';
import { wrongVersions } from './testing/versions.ts';

const aggregates = Array.from({ length: 50 }, (_, index) => String(9_007_199_254_740_993n + BigInt(index)));
const versionsEach = 100;
const writers = 20;
const nextVersion = `
INSERT INTO outbox_stream (aggregate_type, aggregate_id, version) VALUES ('article', ?, LAST_INSERT_ID(1))
ON DUPLICATE KEY UPDATE version = LAST_INSERT_ID(version + 1)`;

describe.each<DeliveryMode>(['at-least-once', 'exactly-once'])('%s', (delivery) => {
  it('keeps each key in order with 20 writers, sends that fail at random and three relays that join and leave; a key that fails holds up no other', async () => {
    const source = await openRealSource();
    const relays: Relay[] = [];
    const faults = { random: true, key: aggregates[7]!, failed: 0 };
    let born = 0;
    const join = async () => {
      const relay = createRelay({
        ...{ id: `r${++born}`, topicPrefix: source.topicPrefix, delivery, leaseMs: 2_000, batchSize: 40 },
        ...{ longestPollMs: 50, retry: { firstMs: 20, longestMs: 200 }, maxAttempts: 10_000 },
        sources: [{ name: 'like', url: source.url }],
        kafka: unreliable(source.kafka, faults),
      });
      relays.push(relay);
      await relay.start();
    };
    try {
      await Promise.all([join(), join(), join()]);
      const writing = writeAll(source);
      let isWriting = true;
      void writing.finally(() => {
        isWriting = false;
      });
      do {
        await relays.shift()!.stop();
        await join();
      } while (isWriting);
      await writing;
      // All but the failing key are through while it still fails.
      await eventually(async () => (await source.unsent()) === versionsEach, 120_000, 50);
      expect(await leftKeys(source)).toEqual([faults.key]);
      Object.assign(faults, { random: false, key: '' });
      await eventually(async () => (await source.unsent()) === 0, 120_000, 50);
      const expected = new Map(aggregates.map((key) => [key, versionsEach]));
      const found = await source.versions();
      expect(wrongVersions(found, expected, { once: delivery === 'exactly-once' })).toEqual([]);
      expect(faults.failed).toBeGreaterThan(20);
    } finally {
      await Promise.all(relays.map((relay) => relay.stop()));
      await source.drop();
    }
  }, 360_000);
});

/** Writers take any aggregate; its version is minted under the stream's lock, in the transaction of the event. */
async function writeAll(source: RealSource): Promise<void> {
  const left = aggregates.flatMap((key) => Array.from({ length: versionsEach }, () => key));
  left.sort(() => Math.random() - 0.5);
  const write = async (key: string) => {
    const connection = await source.pool.getConnection();
    try {
      await connection.query('START TRANSACTION');
      const [{ insertId }] = await connection.query<ResultSetHeader>(nextVersion, [key]);
      await source.write([{ key, version: insertId || 1 }], connection);
      await connection.query('COMMIT');
    } finally {
      connection.release();
    }
  };
  await Promise.all(
    Array.from({ length: writers }, async () => {
      for (let key = left.pop(); key !== undefined; key = left.pop()) await write(key);
    }),
  );
}

async function leftKeys(source: RealSource): Promise<string[]> {
  const [rows] = await source.pool.query(
    'SELECT DISTINCT o.aggregate_id AS k FROM outbox_pending p JOIN outbox o ON o.id = p.id AND o.day = p.day',
  );
  return (rows as { k: Buffer }[]).map(({ k }) => String(k));
}

/** Sends fail before or after they arrived, every now and then; the events of one key are refused. */
function unreliable(
  kafka: TransactionalKafkaPort,
  faults: { random: boolean; key: string; failed: number },
): RelayOptions['kafka'] {
  const refused = new KafkaError('KAFKA_MESSAGE_TOO_LARGE', 'made up by the test', { retryable: false });
  const lost = new KafkaError('KAFKA_NOT_ACKNOWLEDGED', 'made up by the test', { retryable: true });
  const unknown = new KafkaError('KAFKA_COMMIT_UNKNOWN', 'made up by the test', { retryable: false });
  const isRefused = ({ key, headers }: OutgoingMessage) => headers !== undefined && String(key) === faults.key;
  const chance = (share: number) => {
    const hit = faults.random && Math.random() < share;
    if (hit) faults.failed++;
    return hit;
  };
  return {
    ...kafka,
    publisher(options) {
      const publisher = kafka.publisher(options);
      return {
        close: () => publisher.close(),
        async publish(messages) {
          const bad = new Set(messages.filter(isRefused).map(({ partition }) => partition));
          const unlucky = chance(0.15) ? new Set(messages.map(({ partition }) => partition)) : bad;
          const report = await publisher.publish(messages.filter(({ partition }) => !unlucky.has(partition)));
          const after = chance(0.15) ? report.acknowledged.splice(0) : [];
          const failed = [...unlucky, ...after.map(({ partition }) => partition)].map((partition) => ({
            ...{ topic: messages[0]!.topic, partition },
            ...(bad.has(partition)
              ? {
                  error: refused,
                  refused: messages.flatMap((one, place) =>
                    one.partition === partition && isRefused(one) ? [place] : [],
                  ),
                }
              : { error: lost }),
          }));
          return { acknowledged: report.acknowledged, failed: [...report.failed, ...failed] };
        },
      };
    },
    transactionalPublisher(options) {
      const publisher = kafka.transactionalPublisher(options);
      return {
        ...{ close: () => publisher.close(), fence: () => publisher.fence() },
        async transaction(messages) {
          if (messages.some(isRefused)) throw refused;
          if (chance(0.1)) throw lost;
          const done = await publisher.transaction(messages);
          if (chance(0.1)) throw unknown;
          return done;
        },
      };
    },
  };
}

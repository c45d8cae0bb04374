import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { loadConfig } from '../../config/load.ts';
import { uniqueName } from '../../testing/servers.ts';
import { eventually } from '../../testing/until.ts';
import { allMet, stopAll, testNode } from '../../transporter/testing/nodes.ts';
import { kafkaConnectionOf } from '../connection.ts';
import { createKafkajsPort } from '../kafkajs/index.ts';
import { createPlatformaticPort } from '../platformatic/platformatic-port.ts';
import type { KafkaConnection } from '../port.ts';
import { type SecureBroker, startSecureBroker, user } from './broker.ts';

let broker: SecureBroker;

beforeAll(async () => {
  broker = await startSecureBroker();
}, 240_000);
afterAll(() => broker?.stop());

/** By the settings, as a process has them. */
function configured(settings: Record<string, string>, address = broker.saslSsl): KafkaConnection {
  return {
    ...kafkaConnectionOf(loadConfig({ HOTBOARD_KAFKA_TLS: '1', ...settings }), [address]),
    connectTimeoutMs: 20_000,
    requestTimeoutMs: 20_000,
  };
}

function loggingIn(mechanism: string, password: string = user.password): KafkaConnection {
  return configured({
    HOTBOARD_KAFKA_TLS_CA: broker.caFile,
    HOTBOARD_KAFKA_SASL_MECHANISM: mechanism,
    HOTBOARD_KAFKA_SASL_USERNAME: user.username,
    HOTBOARD_KAFKA_SASL_PASSWORD: password,
  });
}

describe.each([
  ['kafkajs', createKafkajsPort],
  ['@platformatic/kafka', createPlatformaticPort],
])('%s over TLS', (_name, createPort) => {
  /** Makes a topic, publishes to it and consumes from it. */
  async function roundTrip(connection: KafkaConnection): Promise<void> {
    const port = createPort(connection);
    const admin = port.admin();
    const publisher = port.publisher();
    const topic = uniqueName('secure');
    await admin.createTopics([{ topic, partitions: 1, replicationFactor: 1 }]);
    const message = { topic, partition: 0, key: null, value: Buffer.from('in secret') };
    expect(await publisher.publish([message])).toMatchObject({ acknowledged: [{ count: 1 }], failed: [] });
    const came: string[] = [];
    const consumer = port.consumer({
      groupId: topic,
      topics: [topic],
      maxWaitMs: 100,
      async onBatch({ messages }) {
        came.push(...messages.map(({ value }) => String(value)));
        return undefined;
      },
    });
    await consumer.start();
    await eventually(() => came.length > 0);
    await consumer.stop();
    expect(came).toEqual(['in secret']);
    await publisher.close();
    await admin.close();
  }

  async function refusals(connection: KafkaConnection) {
    const port = createPort(connection);
    const admin = port.admin();
    const asked = await admin.listTopics().then(
      () => null,
      (error) => error,
    );
    await admin.close();
    const publisher = port.publisher({ deliveryTimeoutMs: 5_000 });
    const { failed } = await publisher.publish([{ topic: 'any', partition: 0, key: null, value: null }]);
    await publisher.close();
    return [asked, failed[0]?.error];
  }

  it.each(['plain', 'scram-sha-256', 'scram-sha-512'])('logs in by %s, publishes and consumes', async (mechanism) => {
    await roundTrip(loggingIn(mechanism));
  });

  it('does without a login where the broker asks for none', async () => {
    await roundTrip(configured({ HOTBOARD_KAFKA_TLS_CA: broker.caFile }, broker.ssl));
  });

  it.each(['plain', 'scram-sha-512'])('says that the password is wrong, by %s', async (mechanism) => {
    for (const error of await refusals(loggingIn(mechanism, 'wrong-password'))) {
      expect(error).toMatchObject({ code: 'KAFKA_NOT_AUTHORIZED', retryable: false });
      expect(error!.message).toMatch(/authenticat/i);
      expect(error!.message).not.toContain('wrong-password');
    }
  });

  it('says that a certificate is not trusted', async () => {
    const settings = [{}, { HOTBOARD_KAFKA_TLS_CA: broker.otherCaFile }] as Record<string, string>[];
    for (const setting of settings) {
      for (const error of await refusals(configured(setting, broker.ssl))) {
        expect(error).toMatchObject({ code: 'KAFKA_UNTRUSTED', retryable: false });
        expect(error!.message).toContain('self-signed certificate');
      }
    }
  });
});

describe('the transporter over TLS', () => {
  it('logs in, and nodes call each other', async () => {
    const connection = {
      brokers: [broker.saslSsl],
      tls: { ca: readFileSync(broker.caFile, 'utf8') },
      sasl: { mechanism: 'scram-sha-512', ...user } as const,
    };
    const namespace = uniqueName('secure');
    const nodes = ['caller', 'worker'].map((nodeId) => testNode(nodeId, namespace, { connection }));
    const [caller, worker] = nodes as [(typeof nodes)[0], (typeof nodes)[0]];
    worker.broker.createService({ name: 'secret', actions: { word: () => 'open' } });
    await Promise.all(nodes.map(({ broker }) => broker.start()));
    try {
      await allMet(nodes);
      await caller.broker.waitForServices('secret', 30_000, 20);
      expect(await caller.broker.call('secret.word')).toBe('open');
    } finally {
      await stopAll(nodes);
    }
  });

  it('says in its health why it cannot join', async () => {
    const connection = { brokers: [broker.ssl], tls: true };
    const node = testNode('stranger', uniqueName('secure'), { connection });
    await node.broker.start();
    try {
      await eventually(() => /self-signed certificate/.test(node.transporter.health().lastError ?? ''));
      expect(node.transporter.health().state).toBe('starting');
    } finally {
      await node.broker.stop();
    }
  });
});

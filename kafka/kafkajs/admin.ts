import kafkajs, { type Admin as NativeAdmin } from 'kafkajs';
import { KafkaError } from '../errors.ts';
import type { Admin, KafkaConnection, TopicDescription, TopicSpec } from '../port.ts';
import { type Client, closeClient, createClient } from './client.ts';
import { protocolType, translate } from './errors.ts';

const { ConfigResourceTypes } = kafkajs;

/** The port's admin on kafkajs's. Connects when it is first used, and anew after a connection was lost. */
export class KafkajsAdmin implements Admin {
  readonly #connection: KafkaConnection;
  #open: Promise<{ client: Client; admin: NativeAdmin }> | null = null;
  #closed = false;

  constructor(connection: KafkaConnection) {
    this.#connection = connection;
  }

  brokers(): Promise<number[]> {
    return this.#call('Looking for brokers', async (admin) => {
      const { brokers } = await admin.describeCluster();
      return brokers.map(({ nodeId }) => nodeId).sort((one, other) => one - other);
    });
  }

  createTopics(topics: readonly TopicSpec[]): Promise<string[]> {
    const made: string[] = [];
    return this.#call(`Creating topics ${topics.map(({ topic }) => topic).join(', ')}`, async (admin) => {
      const existing = new Set(await admin.listTopics());
      // One by one: for several, kafkajs does not say which of them were made.
      for (const spec of topics) {
        if (existing.has(spec.topic)) continue;
        const created = await admin.createTopics({
          waitForLeaders: false,
          topics: [
            {
              topic: spec.topic,
              numPartitions: spec.partitions,
              replicationFactor: spec.replicationFactor ?? -1,
              configEntries: Object.entries(spec.config ?? {}).map(([name, value]) => ({ name, value })),
            },
          ],
        });
        existing.add(spec.topic);
        if (created) made.push(spec.topic);
      }
      for (const topic of made) await untilLed(admin, topic);
      return made;
    });
  }

  deleteTopics(topics: readonly string[]): Promise<void> {
    return this.#call(`Deleting topics ${topics.join(', ')}`, async (admin) => {
      const existing = new Set(await admin.listTopics());
      for (const topic of topics) {
        if (!existing.has(topic)) continue;
        await admin.deleteTopics({ topics: [topic] }).catch((error: unknown) => {
          if (protocolType(error) !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error;
        });
      }
    });
  }

  listTopics(): Promise<string[]> {
    return this.#call('Listing topics', (admin) => admin.listTopics());
  }

  describeTopic(topic: string): Promise<TopicDescription> {
    return this.#call(`Describing topic ${topic}`, async (admin) => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      const partitions = topics.find(({ name }) => name === topic)?.partitions ?? [];
      return {
        topic,
        partitions: partitions
          .map(({ partitionId, leader, replicas, isr }) => ({
            partition: partitionId,
            leader,
            replicas,
            inSyncReplicas: isr,
          }))
          .sort(byPartition),
      };
    });
  }

  topicConfig(topic: string): Promise<Record<string, string>> {
    return this.#call(`Reading the settings of topic ${topic}`, async (admin) => {
      const { resources } = await admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }],
      });
      const entries = resources[0]?.configEntries ?? [];
      return Object.fromEntries(entries.map(({ configName, configValue }) => [configName, configValue ?? '']));
    });
  }

  offsets(topic: string): Promise<{ partition: number; beginning: bigint; end: bigint }[]> {
    return this.#call(`Reading the offsets of topic ${topic}`, async (admin) => {
      const offsets = await admin.fetchTopicOffsets(topic);
      return offsets
        .map(({ partition, low, high }) => ({ partition, beginning: BigInt(low), end: BigInt(high) }))
        .sort(byPartition);
    });
  }

  committed(groupId: string, topic: string): Promise<{ partition: number; offset: bigint | null }[]> {
    return this.#call(`Reading the offsets of group ${groupId}`, async (admin) => {
      const answers = await admin.fetchOffsets({ groupId, topics: [topic] });
      const partitions = answers.find((answer) => answer.topic === topic)?.partitions ?? [];
      return partitions
        .map(({ partition, offset }) => ({ partition, offset: BigInt(offset) >= 0n ? BigInt(offset) : null }))
        .sort(byPartition);
    });
  }

  listGroups(): Promise<string[]> {
    return this.#call('Listing groups', async (admin) =>
      (await admin.listGroups()).groups.map(({ groupId }) => groupId),
    );
  }

  deleteGroups(groupIds: readonly string[]): Promise<void> {
    return this.#call(`Deleting groups ${groupIds.join(', ')}`, async (admin) => {
      for (const groupId of groupIds) {
        await admin.deleteGroups([groupId]).catch((error: unknown) => {
          if (protocolType(error) !== 'GROUP_ID_NOT_FOUND') throw error;
        });
      }
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#reset();
  }

  async #call<Result>(doing: string, work: (admin: NativeAdmin) => Promise<Result>): Promise<Result> {
    const deadlineMs = performance.now() + 5000;
    for (;;) {
      try {
        return await this.#once(doing, work);
      } catch (native) {
        const error = translate(native, doing);
        if (error.code === 'KAFKA_UNAVAILABLE' || error.code === 'KAFKA_UNEXPECTED') await this.#reset();
        // A broker that answers "not me (yet)": a leader, controller or coordinator moves. kafkajs bails out on most of these.
        const moves = error.code === 'KAFKA_UNAVAILABLE' && protocolType(native) !== undefined;
        if (!moves || performance.now() > deadlineMs) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async #once<Result>(doing: string, work: (admin: NativeAdmin) => Promise<Result>): Promise<Result> {
    if (this.#closed)
      throw new KafkaError('KAFKA_CLOSED', `${doing}: the admin client is closed`, { retryable: false });
    this.#open ??= this.#connect();
    const { admin } = await this.#open.catch((native) => {
      this.#open = null;
      throw native;
    });
    return work(admin);
  }

  async #connect(): Promise<{ client: Client; admin: NativeAdmin }> {
    const client = createClient(this.#connection, {
      requestTimeoutMs: this.#connection.requestTimeoutMs ?? 10_000,
      retry: { retries: 4, initialRetryTime: 100, maxRetryTime: 1000, multiplier: 2, factor: 0.2 },
    });
    const admin = client.kafka.admin();
    try {
      await admin.connect();
    } catch (error) {
      client.kill();
      throw error;
    }
    return { client, admin };
  }

  async #reset(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    const opened = await open?.catch(() => null);
    if (opened) await closeClient(opened.client, () => opened.admin.disconnect());
  }
}

/**
 * A new topic is unknown to a broker, or without a leader, for a moment. kafkajs's own wait for leaders fails on the
 * former. Gives up after some seconds: the topic is there, whoever uses it finds out when it can be used.
 */
async function untilLed(admin: NativeAdmin, topic: string): Promise<void> {
  const deadlineMs = performance.now() + 5000;
  while (performance.now() < deadlineMs) {
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      const partitions = topics[0]?.partitions ?? [];
      if (partitions.length > 0 && partitions.every(({ leader }) => leader >= 0)) return;
    } catch (error) {
      const type = protocolType(error) ?? '';
      if (type !== 'UNKNOWN_TOPIC_OR_PARTITION' && type !== 'LEADER_NOT_AVAILABLE') throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function byPartition(a: { partition: number }, b: { partition: number }): number {
  return a.partition - b.partition;
}

import {
  createTopicsV5,
  createTopicsV6,
  createTopicsV7,
  deleteGroupsV2,
  deleteTopicsV6,
  describeConfigsV4,
  listGroupsV4,
  listGroupsV5,
  offsetFetchV8,
  offsetFetchV9,
} from '@platformatic/kafka';
import { KafkaError } from '../errors.ts';
import type { Admin, KafkaConnection, TopicDescription, TopicSpec } from '../port.ts';
import { findCoordinator } from './coordinator.ts';
import { answerWithErrors, errorOfProtocolCode, protocolCode } from './errors.ts';
import { listOffsets } from './offsets.ts';
import { type TopicMetadata, Wire } from './wire.ts';

const topicResource = 2;

/** Leaders and coordinators settle within this time; who has to wait for a cluster that is away asks again. */
const patienceMs = 3_000;

export class PlatformaticAdmin implements Admin {
  readonly #wire: Wire;
  readonly #timeoutMs: number;
  #closed = false;

  constructor(connection: KafkaConnection) {
    this.#timeoutMs = connection.requestTimeoutMs ?? 10_000;
    this.#wire = new Wire(connection, { requestTimeoutMs: this.#timeoutMs });
  }

  brokers(): Promise<number[]> {
    return this.#patiently(async () => {
      await this.#wire.refresh([]);
      return [...this.#wire.brokers.keys()].sort((one, other) => one - other);
    });
  }

  createTopics(topics: readonly TopicSpec[]): Promise<string[]> {
    return this.#patiently(async () => {
      const answer = await answerWithErrors(
        this.#wire.request(
          'any',
          'create topics',
          [createTopicsV7.api, createTopicsV6.api, createTopicsV5.api],
          [
            topics.map(({ topic, partitions, replicationFactor, config }) => ({
              name: topic,
              numPartitions: partitions,
              replicationFactor: replicationFactor ?? -1,
              assignments: [],
              configs: Object.entries(config ?? {}).map(([name, value]) => ({ name, value })),
            })),
            this.#timeoutMs,
            false,
          ],
        ),
      );
      const made: string[] = [];
      for (const { name, errorCode, errorMessage } of answer.topics) {
        if (errorCode === protocolCode.none) made.push(name);
        else if (errorCode !== protocolCode.topicAlreadyExists)
          throw refused(errorCode, `create topic ${name}`, errorMessage);
      }
      if (made.length > 0) await this.#awaitLeaders(made);
      return made;
    });
  }

  deleteTopics(topics: readonly string[]): Promise<void> {
    return this.#patiently(async () => {
      const answer = await answerWithErrors(
        this.#wire.request(
          'any',
          'delete topics',
          [deleteTopicsV6.api],
          [topics.map((name) => ({ name, topicId: null })), this.#timeoutMs],
        ),
      );
      for (const { name, errorCode, errorMessage } of answer.responses) {
        if (errorCode !== 0 && errorCode !== protocolCode.unknownTopicOrPartition)
          throw refused(errorCode, `delete topic ${name}`, errorMessage);
      }
    });
  }

  listTopics(): Promise<string[]> {
    return this.#patiently(async () => [...(await this.#wire.allTopics()).keys()].sort());
  }

  async describeTopic(topic: string): Promise<TopicDescription> {
    const { partitions } = await this.#describe(topic);
    return {
      topic,
      partitions: partitions.map(({ partition, leader, replicas, inSyncReplicas }) => ({
        partition,
        leader,
        replicas,
        inSyncReplicas,
      })),
    };
  }

  topicConfig(topic: string): Promise<Record<string, string>> {
    return this.#patiently(async () => {
      const answer = await answerWithErrors(
        this.#wire.request(
          'any',
          'describe configs',
          [describeConfigsV4.api],
          [[{ resourceType: topicResource, resourceName: topic, configurationKeys: null }], false, false],
        ),
      );
      const settings: Record<string, string> = {};
      for (const { errorCode, errorMessage, configs } of answer.results) {
        if (errorCode !== 0) throw refused(errorCode, `settings of topic ${topic}`, errorMessage);
        for (const { name, value } of configs) if (value != null) settings[name] = value;
      }
      return settings;
    });
  }

  offsets(topic: string): Promise<{ partition: number; beginning: bigint; end: bigint }[]> {
    return this.#patiently(async () => {
      const { partitions } = await this.#describe(topic);
      const byLeader = Map.groupBy(partitions, ({ leader }) => leader);
      const found = await Promise.all(
        [...byLeader].map(async ([leader, group]) => {
          if (leader < 0) throw errorOfProtocolCode(protocolCode.leaderNotAvailable, `offsets of ${topic}`);
          const numbers = group.map(({ partition }) => partition);
          const beginning = await listOffsets(this.#wire, leader, topic, numbers, 'beginning');
          const end = await listOffsets(this.#wire, leader, topic, numbers, 'end');
          return numbers.map((partition) => ({
            partition,
            beginning: beginning.get(partition) ?? 0n,
            end: end.get(partition) ?? 0n,
          }));
        }),
      );
      return found.flat().sort((one, other) => one.partition - other.partition);
    });
  }

  committed(groupId: string, topic: string): Promise<{ partition: number; offset: bigint | null }[]> {
    return this.#patiently(async () => {
      const { partitions } = await this.#describe(topic);
      const partitionIndexes = partitions.map(({ partition }) => partition);
      const coordinator = await findCoordinator(this.#wire, 'group', groupId);
      const answer = await answerWithErrors(
        this.#wire.request(
          coordinator,
          'committed offsets',
          [offsetFetchV9.api, offsetFetchV8.api],
          [[{ groupId, memberId: null, memberEpoch: -1, topics: [{ name: topic, partitionIndexes }] }], false],
        ),
      );
      const group = answer.groups[0];
      if (group && group.errorCode !== 0 && group.errorCode !== protocolCode.groupIdNotFound) {
        throw refused(group.errorCode, `committed offsets of ${groupId}`, null);
      }
      const offsets = new Map<number, bigint>();
      for (const { partitionIndex, committedOffset } of group?.topics[0]?.partitions ?? []) {
        if (committedOffset >= 0n) offsets.set(partitionIndex, committedOffset);
      }
      return partitionIndexes.map((partition) => ({ partition, offset: offsets.get(partition) ?? null }));
    });
  }

  listGroups(): Promise<string[]> {
    return this.#patiently(async () => {
      // Each broker knows the groups that it coordinates.
      await this.#wire.refresh([]);
      const answers = await Promise.all(
        [...this.#wire.brokers.keys()].map((nodeId) =>
          this.#wire.request(nodeId, 'list groups', [listGroupsV5.api, listGroupsV4.api], (version) =>
            version >= 5 ? [[], []] : [[]],
          ),
        ),
      );
      return [...new Set(answers.flatMap(({ groups }) => groups.map(({ groupId }) => groupId)))].sort();
    });
  }

  async deleteGroups(groupIds: readonly string[]): Promise<void> {
    for (const groupId of groupIds) {
      await this.#patiently(async () => {
        const coordinator = await findCoordinator(this.#wire, 'group', groupId);
        const answer = await answerWithErrors(
          this.#wire.request(coordinator, 'delete group', [deleteGroupsV2.api], [[groupId]]),
        );
        const errorCode = answer.results[0]?.errorCode ?? 0;
        if (errorCode !== 0 && errorCode !== protocolCode.groupIdNotFound) {
          throw refused(errorCode, `delete group ${groupId}`, null);
        }
      });
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wire.close();
  }

  async #describe(topic: string): Promise<TopicMetadata> {
    const metadata = (await this.#patiently(() => this.#wire.refresh([topic]))).get(topic);
    if (!metadata) throw errorOfProtocolCode(protocolCode.unknownTopicOrPartition, `topic ${topic}`);
    return metadata;
  }

  /** A topic is made before its partitions have leaders; who publishes at once should find them. */
  async #awaitLeaders(topics: string[]): Promise<void> {
    const deadline = performance.now() + this.#timeoutMs;
    while (performance.now() < deadline) {
      const metadata = await this.#wire.refresh(topics);
      const ready = topics.every((topic) => metadata.get(topic)?.partitions.every(({ leader }) => leader >= 0));
      if (ready) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Tries again for a while where another try can help. */
  async #patiently<Answer>(attempt: () => Promise<Answer>): Promise<Answer> {
    const deadline = performance.now() + Math.min(this.#timeoutMs, patienceMs);
    for (let pauseMs = 20; ; pauseMs = Math.min(500, pauseMs * 2)) {
      if (this.#closed) throw new KafkaError('KAFKA_CLOSED', 'the admin is closed', { retryable: false });
      try {
        return await attempt();
      } catch (error) {
        if (!isPassing(error) || performance.now() + pauseMs > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }
}

function refused(errorCode: number, what: string, message: string | null | undefined): KafkaError {
  return errorOfProtocolCode(errorCode, message ? `${what} (${message})` : what);
}

/** Another broker, or the same one a moment later, can answer well. */
function isPassing(error: unknown): boolean {
  return error instanceof KafkaError && error.retryable && error.code !== 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION';
}

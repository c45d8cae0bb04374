import kafkajs, { type Broker, type Cluster, type PartitionAssigner } from 'kafkajs';
import type { TopicPartition } from '../port.ts';

const { PartitionAssigners } = kafkajs;

/**
 * kafkajs hands its `Cluster` to partition assigners; this is the documented way to it, and all that the port needs beyond
 * the consumer's own functions.
 */
export function captureCluster(): { assigner: PartitionAssigner; cluster(): Cluster } {
  let captured: Cluster | null = null;
  return {
    assigner: (config) => {
      captured = config.cluster;
      return PartitionAssigners.roundRobin(config);
    },
    cluster: () => {
      if (!captured) throw new Error('kafkajs did not hand its cluster to the partition assigner');
      return captured;
    },
  };
}

/** The id that the group knows this consumer by, beyond a single native consumer. */
export interface Membership {
  memberId: string | null;
}

export interface BrokerWatcher {
  membership: Membership;
  /** A broker answered a fetch. */
  onFetched(): void;
  /** The position of a partition is outside what the broker holds. The partition must be paused before this returns. */
  onOutOfRange(place: TopicPartition & { offset: bigint }): void;
}

/**
 * Stands between the consumer and its brokers, for what kafkajs does by itself and wrongly:
 * - where a position is out of range it commits offset -2 for the group and goes on at the beginning, without a word;
 * - it takes the list of aborted transactions as sorted by their first offset. Brokers sort it by the last one, so that of
 *   two interleaved aborted transactions it shows the messages of one;
 * - a new consumer joins as a new member, and the group waits for the one before until its session times out.
 */
export function watchBrokers(cluster: Cluster, watcher: BrokerWatcher): void {
  const watched = new WeakSet<Broker>();
  const findBroker = cluster.findBroker.bind(cluster);
  cluster.findBroker = async (node) => {
    const broker = await findBroker(node);
    if (!watched.has(broker)) {
      watched.add(broker);
      watchFetches(broker, watcher);
      keepMemberId(broker as JoiningBroker, watcher.membership);
    }
    return broker;
  };
}

type JoiningBroker = Broker & {
  joinGroup(request: { memberId?: string; groupId: string }): Promise<{ memberId: string }>;
};

function keepMemberId(broker: JoiningBroker, membership: Membership): void {
  const join = broker.joinGroup.bind(broker);
  broker.joinGroup = async (request) => {
    try {
      const answer = await join({ ...request, memberId: request.memberId || (membership.memberId ?? '') });
      membership.memberId = answer.memberId;
      return answer;
    } catch (error) {
      // kafkajs joins again without an id.
      if ((error as { type?: string }).type === 'UNKNOWN_MEMBER_ID') membership.memberId = null;
      throw error;
    }
  };
}

type FetchRequest = Parameters<Broker['fetch']>[0];

export interface FetchedPartition {
  abortedTransactions?: { producerId: string; firstOffset: string }[] | null;
}

function watchFetches(broker: Broker, watcher: BrokerWatcher): void {
  const fetch = broker.fetch.bind(broker);
  broker.fetch = async (request) => {
    try {
      const answer = await fetch(request);
      watcher.onFetched();
      for (const { partitions } of answer.responses) partitions.forEach(sortAborted);
      return answer;
    } catch (error) {
      const { name, topic, partition } = error as { name: string; topic: string; partition: number };
      if (name !== 'KafkaJSOffsetOutOfRange') throw error;
      watcher.onFetched();
      watcher.onOutOfRange({ topic, partition, offset: requestedOffset(request, topic, partition) });
      return { responses: [] };
    }
  };
}

export function sortAborted(partition: FetchedPartition): void {
  partition.abortedTransactions?.sort((a, b) => {
    const difference = BigInt(a.firstOffset) - BigInt(b.firstOffset);
    return difference < 0n ? -1 : difference > 0n ? 1 : 0;
  });
}

function requestedOffset(request: FetchRequest, topic: string, partition: number): bigint {
  const asked = request.topics
    .find((candidate) => candidate.topic === topic)
    ?.partitions.find((candidate) => candidate.partition === partition);
  return BigInt(asked?.fetchOffset ?? -1);
}

/** First and next offsets of one partition. */
export async function bounds(
  cluster: Cluster,
  topic: string,
  partition: number,
): Promise<{ beginning: bigint; end: bigint }> {
  const at = async (fromBeginning: boolean) => {
    const [answer] = await cluster.fetchTopicsOffset([{ topic, partitions: [{ partition }], fromBeginning }]);
    return BigInt(answer?.partitions[0]?.offset ?? 0);
  };
  return { beginning: await at(true), end: await at(false) };
}

import type { TopicPartition } from '../port.ts';

// Kafka's consumer protocol, version 0 (org.apache.kafka.clients.consumer.internals.ConsumerProtocol): what members tell each
// other through the coordinator, which takes it as bytes.

/** The name under which kafkajs deals partitions out the same way, so that members on either client share a group. */
export const assignorName = 'RoundRobinAssigner';

export interface GroupMemberTopics {
  memberId: string;
  topics: readonly string[];
}

/** Deals all partitions of all topics out, one after the other, to the members in the order of their ids. */
export function assignRoundRobin(
  members: readonly GroupMemberTopics[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, TopicPartition[]> {
  const sorted = [...members].sort((one, other) => (one.memberId < other.memberId ? -1 : 1));
  const assigned = new Map<string, TopicPartition[]>(sorted.map(({ memberId }) => [memberId, []]));
  const topics = [...new Set(members.flatMap((member) => member.topics))].sort();
  let turn = 0;
  for (const topic of topics) {
    const takers = sorted.filter((member) => member.topics.includes(topic));
    for (let partition = 0; partition < (partitionCounts.get(topic) ?? 0); partition++) {
      assigned.get(takers[turn++ % takers.length]!.memberId)!.push({ topic, partition });
    }
  }
  return assigned;
}

export function encodeSubscription(topics: readonly string[]): Buffer {
  return Buffer.concat([int16(0), int32(topics.length), ...topics.map(text), noUserData]);
}

export function decodeSubscription(bytes: Buffer): string[] {
  const cursor = new Cursor(bytes);
  cursor.int16();
  return Array.from({ length: cursor.int32() }, () => cursor.text());
}

export function encodeAssignment(partitions: readonly TopicPartition[]): Buffer {
  const byTopic = Map.groupBy(partitions, ({ topic }) => topic);
  const topics = [...byTopic].map(([topic, group]) =>
    Buffer.concat([text(topic), int32(group.length), ...group.map(({ partition }) => int32(partition))]),
  );
  return Buffer.concat([int16(0), int32(topics.length), ...topics, noUserData]);
}

/** A member that got nothing has an empty answer, not an empty list. */
export function decodeAssignment(bytes: Buffer): TopicPartition[] {
  if (bytes.length === 0) return [];
  const cursor = new Cursor(bytes);
  cursor.int16();
  const partitions: TopicPartition[] = [];
  for (let topics = cursor.int32(); topics > 0; topics--) {
    const topic = cursor.text();
    for (let count = cursor.int32(); count > 0; count--) partitions.push({ topic, partition: cursor.int32() });
  }
  return partitions;
}

class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  int16(): number {
    this.#at += 2;
    return this.#bytes.readInt16BE(this.#at - 2);
  }

  int32(): number {
    this.#at += 4;
    return this.#bytes.readInt32BE(this.#at - 4);
  }

  text(): string {
    const length = this.int16();
    this.#at += length;
    return this.#bytes.toString('utf8', this.#at - length, this.#at);
  }
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([int16(bytes.length), bytes]);
}

const noUserData = int32(0);

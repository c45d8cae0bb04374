import { KafkaError } from './errors.ts';
import type { OutgoingMessage } from './port.ts';

/** The messages of a batch for one partition, in order. `indexes` are their places in the batch. */
export interface PartitionMessages {
  topic: string;
  partition: number;
  messages: OutgoingMessage[];
  indexes: number[];
}

/** One name for a (topic, partition): partition first, as a topic's name never holds a slash. */
export function partitionName(topic: string, partition: number): string {
  return `${partition}/${topic}`;
}

/** Checks a batch as a whole, before anything of it is sent. Throws `KAFKA_BAD_ARGUMENT` that names the first mistake. */
export function checkMessages(messages: readonly OutgoingMessage[]): void {
  if (!Array.isArray(messages)) throw badArgument('messages', messages, 'an array');
  messages.forEach((message, index) => {
    const at = `messages[${index}]`;
    if (typeof message !== 'object' || message === null) throw badArgument(at, message, 'an object');
    const { topic, partition, key, value, headers } = message;
    if (typeof topic !== 'string' || topic === '') throw badArgument(`${at}.topic`, topic, 'a topic’s name');
    if (!Number.isInteger(partition) || partition < 0 || partition > 0x7fffffff) {
      throw badArgument(`${at}.partition`, partition, 'a whole number from 0; use partitionOf(key, count)');
    }
    if (key !== null && !Buffer.isBuffer(key)) throw badArgument(`${at}.key`, key, 'a Buffer or null');
    if (value !== null && !Buffer.isBuffer(value)) throw badArgument(`${at}.value`, value, 'a Buffer or null');
    if (headers === undefined) return;
    if (typeof headers !== 'object' || headers === null) throw badArgument(`${at}.headers`, headers, 'an object');
    for (const [name, header] of Object.entries(headers)) {
      if (typeof header !== 'string' && !Buffer.isBuffer(header)) {
        throw badArgument(`${at}.headers[${JSON.stringify(name)}]`, header, 'a string or a Buffer');
      }
    }
  });
}

/** Groups a checked batch by partition; the order within a partition stays. */
export function byPartition(messages: readonly OutgoingMessage[]): PartitionMessages[] {
  const groups = new Map<string, PartitionMessages>();
  messages.forEach((message, index) => {
    const name = partitionName(message.topic, message.partition);
    let group = groups.get(name);
    if (!group) {
      group = { topic: message.topic, partition: message.partition, messages: [], indexes: [] };
      groups.set(name, group);
    }
    group.messages.push(message);
    group.indexes.push(index);
  });
  return [...groups.values()];
}

/** Bytes that a message takes in a record batch, rather too many than too few. */
export function sizeOf(message: OutgoingMessage): number {
  let bytes = 32 + (message.key?.length ?? 0) + (message.value?.length ?? 0);
  for (const [name, value] of Object.entries(message.headers ?? {})) {
    bytes += 10 + Buffer.byteLength(name) + Buffer.byteLength(value);
  }
  return bytes;
}

function badArgument(name: string, value: unknown, allowed: string): KafkaError {
  const shown = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return new KafkaError('KAFKA_BAD_ARGUMENT', `${name} is ${shown.slice(0, 80)}; allowed: ${allowed}.`, {
    retryable: false,
  });
}

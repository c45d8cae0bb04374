import { until } from '../../testing/until.ts';
import type { KafkaPort } from '../port.ts';
import type { StoredMessage } from './check-published.ts';

/** The last message of each partition, written by the suite itself: who has read it has read all. */
const endMark = 'end';

/**
 * Everything that a read-committed consumer sees of a topic, in the order of offsets within each partition. Writes an end
 * mark first, so a topic can be read once. `withoutHoles`: offsets must follow each other, which shows that the
 * reader left nothing out (not so where transactions leave markers).
 */
export async function readTopic(
  port: KafkaPort,
  { topic, partitions, withoutHoles }: { topic: string; partitions: number; withoutHoles: boolean },
): Promise<StoredMessage[]> {
  const publisher = port.publisher({ deliveryTimeoutMs: 30_000 });
  const marks = Array.from({ length: partitions }, (_, partition) => ({
    topic,
    partition,
    key: null,
    value: Buffer.from(endMark),
  }));
  const { failed } = await publisher.publish(marks);
  await publisher.close();
  if (failed[0]) throw failed[0].error;

  const stored: StoredMessage[] = [];
  const next = new Map<number, bigint>();
  const ended = new Set<number>();
  const holes: string[] = [];
  const consumer = port.consumer({
    groupId: `${topic}-reader`,
    topics: [topic],
    maxWaitMs: 100,
    async onBatch({ partition, messages }) {
      for (const { offset, value } of messages) {
        const expected = next.get(partition) ?? 0n;
        if (offset < expected) continue;
        if (withoutHoles && offset > expected) holes.push(`${partition}: ${expected} to ${offset}`);
        next.set(partition, offset + 1n);
        const id = String(value);
        if (id === endMark) ended.add(partition);
        else stored.push({ partition, offset, id });
      }
      return undefined;
    },
  });
  await consumer.start();
  try {
    await until(`all of ${topic} is read`, 60_000, () => ended.size === partitions);
  } finally {
    await consumer.stop();
  }
  if (holes.length > 0) throw new Error(`the reader of ${topic} left out ${holes.join(', ')}`);
  return stored;
}

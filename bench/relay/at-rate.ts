import { setTimeout as pause } from 'node:timers/promises';
import type { OutgoingMessage, TransactionalKafkaPort } from '../../kafka/port.ts';
import { bucketOf } from '../../outbox/keys.ts';
import { positionsTopic } from '../../relay/delivery/position.ts';
import type { DeliveryMode } from '../../relay/options.ts';
import { readyBatches } from './limits.ts';
import { type BenchOutbox, buckets } from './outbox.ts';
import { nowMs } from './watch.ts';

/** Starts `work` so many times a second, however long each takes; resolves when all are done. */
export async function atRate(perS: number, durationMs: number, work: (place: number) => Promise<void>): Promise<void> {
  const startedMs = nowMs();
  const running: Promise<void>[] = [];
  for (let place = 0; place < (durationMs / 1000) * perS; place++) {
    const waitMs = startedMs + (place * 1000) / perS - nowMs();
    if (waitMs > 0) await pause(waitMs);
    running.push(work(place));
  }
  await Promise.all(running);
}

/** What each event of a writer took, in ms: its transaction, and the COMMIT of it. */
export interface WriteTimes {
  transactionMs: number[];
  commitMs: number[];
}

/** The same writes at the same rate with nobody to forward them: what the database takes by itself. */
export async function insertsAtRate(outbox: BenchOutbox, perS: number, durationMs: number): Promise<WriteTimes> {
  const times: WriteTimes = { transactionMs: [], commitMs: [] };
  await atRate(perS, durationMs, async () => {
    const startedMs = nowMs();
    const { commitMs } = await outbox.write(1);
    times.transactionMs.push(nowMs() - startedMs);
    times.commitMs.push(commitMs);
  });
  return times;
}

/**
 * Ms from when a message is there until its acknowledgement, by the same publishers at the same rate with no database in it: as in
 * the relay one a bucket, each of which sends what came while the last call ran.
 */
export async function sendsAtRate(
  kafka: TransactionalKafkaPort,
  { mode, topic, partitions, perS, durationMs }: SendsOptions,
): Promise<number[]> {
  const messages = readyBatches((durationMs / 1000) * perS, topic, partitions).flat();
  const queues = await Promise.all(
    Array.from({ length: buckets }, async (_, bucket) => {
      const waiting: { message: OutgoingMessage; done(): void }[] = [];
      const publisher = mode === 'at-least-once' ? kafka.publisher() : null;
      const transactional = publisher ? null : kafka.transactionalPublisher({ transactionalId: `${topic}.${bucket}` });
      await transactional?.fence();
      const place = { topic: positionsTopic(topic, 'like'), partition: bucket };
      const position: OutgoingMessage = { ...place, key: Buffer.from(topic), value: Buffer.alloc(200, 'x') };
      let running = false;
      const run = async () => {
        running = true;
        for (let batch = waiting.splice(0); batch.length > 0; batch = waiting.splice(0)) {
          const sent = batch.map(({ message }) => message);
          await (publisher?.publish(sent) ?? transactional!.transaction([...sent, position]));
          for (const { done } of batch) done();
        }
        running = false;
      };
      return {
        send: (message: OutgoingMessage) =>
          new Promise<void>((done) => {
            waiting.push({ message, done });
            if (!running) void run();
          }),
        close: () => (publisher ?? transactional!).close(),
      };
    }),
  );
  const tookMs: number[] = [];
  await atRate(perS, durationMs, async (place) => {
    const message = messages[place]!;
    const startedMs = nowMs();
    await queues[bucketOf(String(message.key), buckets)]!.send(message);
    tookMs.push(nowMs() - startedMs);
  });
  await Promise.all(queues.map((queue) => queue.close()));
  // The first of each publisher connects.
  return tookMs.slice(perS);
}

interface SendsOptions {
  mode: DeliveryMode;
  topic: string;
  partitions: number;
  perS: number;
  durationMs: number;
}

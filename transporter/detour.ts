import { KafkaError, type KafkaErrorCode } from '../kafka/errors.ts';
import type { OutgoingMessage, PartitionFailure, Publisher, PublishReport } from '../kafka/port.ts';

/** A batch on its way: where it is tried, and what is known of its topic. */
export interface Attempt {
  partition: number;
  /** How many partitions the topic has; null until a partition was asked for that does not exist. */
  partitions: number | null;
  /** A try before this one was sent and has no answer: it may be stored. */
  inDoubt: boolean;
}

/**
 * Where a batch is tried next after the attempt failed; null: nowhere. A topic of one partition gets nothing twice: its receiver
 * may be one that does not drop what it has already.
 */
export function nextAttempt(
  { partition, partitions, inDoubt }: Attempt,
  failedWith: KafkaErrorCode,
  limit = 32,
): Attempt | null {
  switch (failedWith) {
    case 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION':
      if (partition === 0 || (partition === 1 && inDoubt)) return null;
      return { partition: 0, partitions: partition, inDoubt };
    case 'KAFKA_NOT_ACKNOWLEDGED':
      if (partitions === 1) return null;
      return { partition: (partition + 1) % (partitions ?? limit), partitions, inDoubt: true };
    case 'KAFKA_UNAVAILABLE':
      return { partition: (partition + 1) % (partitions ?? limit), partitions, inDoubt };
    default:
      return null;
  }
}

export interface DetourOptions {
  /** Tries a batch once, and soon gives up on a broker that says nothing. */
  publisher: Publisher;
  /** How long a batch is tried. */
  graceMs: number;
  /** Monotonic. */
  nowMs?: () => number;
  pause?: (ms: number) => Promise<void>;
}

const pauseBetweenRoundsMs = 50;

/**
 * Publishes around partitions that cannot be reached. Whatever partition a message names, it goes to the one of its topic that
 * took the last batch (the first one, to begin with), and where that fails to the next. Each batch of a topic goes as a
 * whole. What may have been stored is sent again, so receivers must drop what they have already.
 */
export class DetouringPublisher implements Publisher {
  readonly #publisher: Publisher;
  readonly #graceMs: number;
  readonly #nowMs: () => number;
  readonly #pause: (ms: number) => Promise<void>;
  /** Topics that do not go by their first partition. There is no way back but the next detour: nobody needs one. */
  readonly #partitionOf = new Map<string, number>();

  constructor({ publisher, graceMs, nowMs, pause }: DetourOptions) {
    this.#publisher = publisher;
    this.#graceMs = graceMs;
    this.#nowMs = nowMs ?? (() => performance.now());
    this.#pause = pause ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
  }

  async publish(messages: readonly OutgoingMessage[]): Promise<PublishReport> {
    const topics = [...Map.groupBy(messages, ({ topic }) => topic)];
    const reports = await Promise.all(topics.map(([topic, group]) => this.#deliver(topic, group)));
    return {
      acknowledged: reports.flatMap(({ acknowledged }) => acknowledged),
      failed: reports.flatMap(({ failed }) => failed),
    };
  }

  close(): Promise<void> {
    return this.#publisher.close();
  }

  async #deliver(topic: string, messages: readonly OutgoingMessage[]): Promise<PublishReport> {
    const deadline = this.#nowMs() + this.#graceMs;
    const tried = new Set<number>();
    let attempt: Attempt = { partition: this.#partitionOf.get(topic) ?? 0, partitions: null, inDoubt: false };
    for (;;) {
      const { partition } = attempt;
      tried.add(partition);
      const report = await this.#publisher.publish(messages.map((message) => ({ ...message, partition })));
      const failure = report.failed[0];
      if (!failure) {
        if (partition === 0) this.#partitionOf.delete(topic);
        else this.#partitionOf.set(topic, partition);
        return report;
      }
      const next = nextAttempt(attempt, failure.error.code);
      const inDoubt = attempt.inDoubt || failure.error.code === 'KAFKA_NOT_ACKNOWLEDGED';
      if (!next || this.#nowMs() >= deadline) return { acknowledged: [], failed: [told(failure, inDoubt)] };
      if (tried.has(next.partition)) {
        tried.clear();
        await this.#pause(pauseBetweenRoundsMs);
      }
      attempt = next;
    }
  }
}

/** The last failure, and the doubt of those before it. */
function told(failure: PartitionFailure, inDoubt: boolean): PartitionFailure {
  const { error } = failure;
  if (!inDoubt || error.code === 'KAFKA_NOT_ACKNOWLEDGED') return failure;
  return {
    ...failure,
    error: new KafkaError('KAFKA_NOT_ACKNOWLEDGED', error.message, { retryable: true, cause: error }),
  };
}

import { KafkaError } from '../errors.ts';
import { byPartition, checkMessages, type PartitionMessages, partitionName } from '../outgoing.ts';
import type { Logger, OutgoingMessage, Publisher, PublishReport, TopicPartition } from '../port.ts';
import { tookTooLong, within } from './deadline.ts';
import { translate } from './errors.ts';
import type { Answer, OneShotProducer } from './producer.ts';
import { type RequestLimits, requestLimits, requestsOf, slice } from './requests.ts';

export interface GuardedPublisherOptions {
  /** Connects a new producer. */
  open(): Promise<OneShotProducer>;
  deliveryTimeoutMs: number;
  limits?: RequestLimits;
  /** How long an unknown topic or partition may take to appear before its messages count as failed. */
  unknownTopicGraceMs?: number;
  logger?: Logger;
  /** Monotonic ms. */
  now?(): number;
  sleep?(ms: number): Promise<void>;
}

/**
 * kafkajs behind a guard, since by itself it loses acknowledged messages (kafka/README.md): one request in flight; the
 * partitions that answered are compared with those that were sent; after any throw, and after a short answer, the producer
 * is thrown away and the whole request is sent again on a new one. A message can so be in the topic twice, never not at all.
 */
export class GuardedPublisher implements Publisher {
  readonly #options: GuardedPublisherOptions;
  readonly #now: () => number;
  readonly #sleep: (ms: number) => Promise<void>;
  #producer: OneShotProducer | null = null;
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: GuardedPublisherOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#sleep = options.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
  }

  async publish(messages: readonly OutgoingMessage[]): Promise<PublishReport> {
    if (this.#closed) throw new KafkaError('KAFKA_CLOSED', 'The publisher is closed.', { retryable: false });
    checkMessages(messages);
    if (messages.length === 0) return { acknowledged: [], failed: [] };
    const deadlineMs = this.#now() + this.#options.deliveryTimeoutMs;
    const turn = this.#queue.then(() => this.#deliver(messages, deadlineMs));
    this.#queue = turn.catch(() => {});
    return turn;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue;
    this.#discard();
  }

  async #deliver(messages: readonly OutgoingMessage[], deadlineMs: number): Promise<PublishReport> {
    const groups = byPartition(messages);
    const delivery = new Delivery(groups, deadlineMs);
    for (const request of requestsOf(groups, this.#options.limits ?? requestLimits)) {
      await this.#send(delivery.open(request), delivery);
    }
    return delivery.report();
  }

  /** Sends one request until it is acknowledged, refused for good, or the time is up. */
  async #send(parts: readonly PartitionMessages[], delivery: Delivery): Promise<void> {
    if (parts.length === 0) return;
    for (let attempt = 0; ; attempt++) {
      const leftMs = delivery.deadlineMs - this.#now();
      // Less than the ms by which a timer can be early is no time for another attempt.
      if (leftMs < 1) return delivery.fail(parts, delivery.lastError ?? tookTooLong('Publishing'));
      const outcome = await this.#attempt(parts, leftMs);
      if (outcome.kind === 'answered') return delivery.acknowledge(parts, outcome.answers);
      if (!outcome.gaveUp || !delivery.lastError) delivery.lastError = outcome.error;
      this.#options.logger?.debug(`kafka: ${outcome.error.message}; a new producer sends it again`);
      if (outcome.kind === 'refused' && (parts.length > 1 || !this.#mayAppear(outcome.error, delivery))) {
        return this.#isolate(parts, outcome.error, delivery);
      }
      const pauseMs = Math.min(1000, 50 * 2 ** attempt);
      await this.#sleep(Math.max(0, Math.min(pauseMs, delivery.deadlineMs - this.#now())));
    }
  }

  /** kafkajs fails a request as a whole and does not say for which partition: halves show it, the others go through. */
  async #isolate(parts: readonly PartitionMessages[], error: KafkaError, delivery: Delivery): Promise<void> {
    if (parts.length > 1) {
      const middle = parts.length >> 1;
      await this.#send(parts.slice(0, middle), delivery);
      await this.#send(parts.slice(middle), delivery);
      return;
    }
    const [part] = parts as [PartitionMessages];
    if (aboutOneMessage(error) && part.messages.length > 1) {
      const middle = part.messages.length >> 1;
      await this.#send([slice(part, 0, middle)], delivery);
      await this.#send(delivery.open([slice(part, middle, part.messages.length)]), delivery);
      return;
    }
    delivery.fail(parts, error, aboutOneMessage(error) ? part.indexes : undefined);
  }

  /** A topic that was just created is unknown to some brokers for a moment, and so is any topic to a broker that starts. */
  #mayAppear(error: KafkaError, delivery: Delivery): boolean {
    if (error.code !== 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION') return false;
    delivery.unknownSinceMs ??= this.#now();
    return this.#now() - delivery.unknownSinceMs < (this.#options.unknownTopicGraceMs ?? 1000);
  }

  async #attempt(parts: readonly PartitionMessages[], leftMs: number): Promise<Outcome> {
    let sent = false;
    let givenUp = false;
    const work = async (): Promise<Answer[]> => {
      const producer = this.#producer ?? (await this.#options.open());
      if (givenUp) {
        producer.kill();
        throw tookTooLong('Publishing');
      }
      this.#producer = producer;
      sent = true;
      return producer.send(parts);
    };
    try {
      const answers = await within(leftMs, 'Publishing', work());
      const silent = withoutAnswer(parts, answers);
      if (silent.length === 0) return { kind: 'answered', answers };
      this.#discard();
      const names = silent.map(({ topic, partition }) => `${topic}[${partition}]`).join(', ');
      return { kind: 'failed', error: notAcknowledged(`No broker answered for ${names}`) };
    } catch (native) {
      // What is given up is also ended, so that it cannot send anything later.
      givenUp = true;
      this.#discard();
      const error = translate(native, 'Publishing failed');
      if (sent && refusals.has(error.code)) return { kind: 'refused', error };
      return { kind: 'failed', error, gaveUp: native instanceof KafkaError };
    }
  }

  #discard(): void {
    this.#producer?.kill();
    this.#producer = null;
  }
}

type Outcome =
  | { kind: 'answered'; answers: Answer[] }
  /** Nothing is known about the request. */
  | { kind: 'failed'; error: KafkaError; gaveUp?: boolean }
  /** A broker refused some of the messages, and will again. */
  | { kind: 'refused'; error: KafkaError; gaveUp?: boolean };

const refusals = new Set<string>([
  'KAFKA_MESSAGE_TOO_LARGE',
  'KAFKA_UNKNOWN_TOPIC_OR_PARTITION',
  'KAFKA_NOT_AUTHORIZED',
  'KAFKA_BAD_ARGUMENT',
]);

/** What became of one `publish` call, partition by partition. */
class Delivery {
  readonly deadlineMs: number;
  lastError: KafkaError | null = null;
  unknownSinceMs: number | null = null;
  readonly #groups: readonly PartitionMessages[];
  readonly #baseOffsets = new Map<string, bigint | null>();
  readonly #failures = new Map<string, { error: KafkaError; refused?: readonly number[] }>();

  constructor(groups: readonly PartitionMessages[], deadlineMs: number) {
    this.#groups = groups;
    this.deadlineMs = deadlineMs;
  }

  /** Without the partitions that failed before: what comes later in a partition must not be stored without what is earlier. */
  open(parts: readonly PartitionMessages[]): readonly PartitionMessages[] {
    return parts.filter((part) => !this.#failures.has(nameOf(part)));
  }

  acknowledge(parts: readonly PartitionMessages[], answers: readonly Answer[]): void {
    for (const part of parts) {
      const name = nameOf(part);
      if (!this.#baseOffsets.has(name)) {
        this.#baseOffsets.set(name, answers.find((answer) => nameOf(answer) === name)?.baseOffset ?? null);
      }
    }
  }

  fail(parts: readonly PartitionMessages[], error: KafkaError, refused?: readonly number[]): void {
    for (const part of parts) this.#failures.set(nameOf(part), { error, refused });
  }

  report(): PublishReport {
    const report: PublishReport = { acknowledged: [], failed: [] };
    for (const group of this.#groups) {
      const { topic, partition } = group;
      const failure = this.#failures.get(nameOf(group));
      if (failure) report.failed.push({ topic, partition, ...failure });
      else {
        const baseOffset = this.#baseOffsets.get(nameOf(group)) ?? null;
        report.acknowledged.push({ topic, partition, baseOffset, count: group.messages.length });
      }
    }
    return report;
  }
}

function nameOf({ topic, partition }: { topic: string; partition: number }): string {
  return partitionName(topic, partition);
}

/** The partitions of a request that no broker answered for: kafkajs can resolve without them. */
export function withoutAnswer(parts: readonly PartitionMessages[], answers: readonly Answer[]): PartitionMessages[] {
  const answered = new Set(answers.map(nameOf));
  return parts.filter((part) => !answered.has(nameOf(part)));
}

function aboutOneMessage(error: KafkaError): boolean {
  return error.code === 'KAFKA_MESSAGE_TOO_LARGE' || error.code === 'KAFKA_BAD_ARGUMENT';
}

export function notAcknowledged(message: string, silent: readonly TopicPartition[] = []): KafkaError {
  const error = new KafkaError('KAFKA_NOT_ACKNOWLEDGED', message, { retryable: true });
  const failed = silent.map(({ topic, partition }) => ({ topic, partition, error }));
  return new KafkaError(error.code, message, { retryable: true, failed });
}

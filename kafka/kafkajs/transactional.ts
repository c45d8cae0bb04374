import { KafkaError } from '../errors.ts';
import { byPartition, checkMessages, type PartitionMessages, partitionName } from '../outgoing.ts';
import type { Logger, OutgoingMessage, PublishReport, TransactionalPublisher } from '../port.ts';
import { tookTooLong, within } from './deadline.ts';
import { translate } from './errors.ts';
import type { Answer, OpenTransaction, TransactionalProducer } from './producer.ts';
import { notAcknowledged, withoutAnswer } from './publisher.ts';
import { type RequestLimits, requestLimits, requestsOf } from './requests.ts';

export interface KafkajsTransactionalOptions {
  transactionalId: string;
  transactionTimeoutMs: number;
  requestTimeoutMs: number;
  /** Connects a new producer with the transactional id. */
  open(): Promise<TransactionalProducer>;
  limits?: RequestLimits;
  logger?: Logger;
}

/**
 * kafkajs's transactions behind the same guard as its plain producer: the partitions that answered are compared with those
 * that were sent before anything is committed, and after any fault the producer is thrown away. Then `fence()` is due.
 */
export class KafkajsTransactionalPublisher implements TransactionalPublisher {
  readonly #options: KafkajsTransactionalOptions;
  #producer: TransactionalProducer | null = null;
  /** kafkajs makes InitProducerId as a part of beginning the first transaction, so `fence()` leaves one begun. */
  #begun: OpenTransaction | null = null;
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: KafkajsTransactionalOptions) {
    this.#options = options;
  }

  fence(): Promise<void> {
    return this.#inTurn(() => this.#fence());
  }

  transaction(messages: readonly OutgoingMessage[]): Promise<{ outcome: 'committed'; report: PublishReport }> {
    return this.#inTurn(async () => {
      checkMessages(messages);
      const producer = this.#producer;
      if (!producer) {
        throw new KafkaError('KAFKA_FENCE_REQUIRED', `${this.#name}: fence() must be called first`, {
          retryable: false,
        });
      }
      const begun = this.#begun;
      this.#begun = null;
      try {
        return { outcome: 'committed', report: await this.#transaction(producer, begun, messages) };
      } catch (error) {
        this.#discard();
        throw error;
      }
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue;
    this.#discard();
  }

  async #fence(): Promise<void> {
    this.#discard();
    let givenUp = false;
    let producer: TransactionalProducer | null = null;
    const work = async () => {
      producer = await this.#options.open();
      if (givenUp) throw tookTooLong('Fencing');
      return await producer.begin();
    };
    try {
      // The broker lets a newcomer wait while it aborts what is open; that takes no longer than a request.
      const limitMs = this.#options.requestTimeoutMs * 2;
      this.#begun = await within(limitMs, 'Fencing', work().catch(killAnd(() => producer)));
      this.#producer = producer;
    } catch (native) {
      givenUp = true;
      (producer as TransactionalProducer | null)?.kill();
      throw translate(native, `${this.#name}: fencing failed`);
    }
  }

  async #transaction(
    producer: TransactionalProducer,
    begun: OpenTransaction | null,
    messages: readonly OutgoingMessage[],
  ): Promise<PublishReport> {
    const transaction = begun ?? (await producer.begin().catch(this.#translating('beginning failed')));
    const groups = byPartition(messages);
    const baseOffsets = new Map<string, bigint | null>();
    try {
      const deadlineMs = performance.now() + this.#options.transactionTimeoutMs;
      for (const request of openingAlone([...requestsOf(groups, this.#options.limits ?? requestLimits)])) {
        const leftMs = deadlineMs - performance.now();
        const answers = await within(leftMs, 'The transaction', transaction.send(request));
        const silent = withoutAnswer(request, answers);
        if (silent.length > 0) {
          const names = silent.map(({ topic, partition }) => `${topic}[${partition}]`).join(', ');
          throw notAcknowledged(`No broker answered for ${names}`, silent);
        }
        noteFirst(baseOffsets, answers);
      }
    } catch (native) {
      const error = translate(native, `${this.#name}: not committed`);
      if (error.code !== 'KAFKA_FENCED') await this.#abort(transaction);
      throw error;
    }
    await this.#commit(transaction);
    return {
      failed: [],
      acknowledged: groups.map(({ topic, partition, messages: { length: count } }) => ({
        topic,
        partition,
        count,
        baseOffset: baseOffsets.get(partitionName(topic, partition)) ?? null,
      })),
    };
  }

  async #commit(transaction: OpenTransaction): Promise<void> {
    try {
      await within(this.#options.requestTimeoutMs + 1000, 'Committing', transaction.commit());
    } catch (native) {
      const error = translate(native, `${this.#name}: committing failed`);
      // kafkajs asks once, so that this refusal is the answer to the only commit there was.
      if (error.code === 'KAFKA_FENCED') throw error;
      throw new KafkaError('KAFKA_COMMIT_UNKNOWN', error.message, { retryable: false, cause: native });
    }
  }

  /** Readers wait for an open transaction, so end it now if that is possible; `fence()` does it in any case. */
  async #abort(transaction: OpenTransaction): Promise<void> {
    try {
      await within(1000, 'Aborting', transaction.abort());
    } catch (native) {
      this.#options.logger?.debug(translate(native, `kafka: ${this.#name}: aborting failed`).message);
    }
  }

  #translating(what: string): (native: unknown) => never {
    return (native) => {
      throw translate(native, `${this.#name}: ${what}`);
    };
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#closed) {
      return Promise.reject(new KafkaError('KAFKA_CLOSED', `${this.#name} is closed`, { retryable: false }));
    }
    const turn = this.#queue.then(work);
    this.#queue = turn.catch(() => {});
    return turn;
  }

  #discard(): void {
    this.#producer?.kill();
    this.#producer = null;
    this.#begun = null;
  }

  get #name(): string {
    return `Transactional publisher ${this.#options.transactionalId}`;
  }
}

function killAnd(producer: () => TransactionalProducer | null): (error: unknown) => never {
  return (error) => {
    producer()?.kill();
    throw error;
  };
}

/**
 * The first partition alone: the coordinator puts off what opens a transaction while it ends the one before it, so that this
 * is tried again, which is safe for one partition only (single-attempt.ts).
 */
function openingAlone(requests: readonly (readonly PartitionMessages[])[]): (readonly PartitionMessages[])[] {
  const [first = [], ...others] = requests;
  return [first.slice(0, 1), first.slice(1), ...others].filter((parts) => parts.length > 0);
}

function noteFirst(baseOffsets: Map<string, bigint | null>, answers: readonly Answer[]): void {
  for (const { topic, partition, baseOffset } of answers) {
    const name = partitionName(topic, partition);
    if (!baseOffsets.has(name)) baseOffsets.set(name, baseOffset);
  }
}

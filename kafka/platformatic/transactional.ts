import { addPartitionsToTxnV3, endTxnV3, endTxnV4 } from '@platformatic/kafka';
import { KafkaError } from '../errors.ts';
import { checkMessages } from '../outgoing.ts';
import type {
  KafkaConnection,
  OutgoingMessage,
  PublishReport,
  TransactionalPublisher,
  TransactionalPublisherOptions,
} from '../port.ts';
import { findCoordinator } from './coordinator.ts';
import { Delivery, type ProducerSession } from './delivery.ts';
import { answerWithErrors, errorOfProtocolCode, protocolCode, protocolCodeOf, toKafkaError } from './errors.ts';
import { initProducer } from './produce.ts';
import { mayHaveArrived, Wire } from './wire.ts';

/** The coordinator is still writing the end of the transaction before, or is not (yet) the one: ask again. */
const passing = new Set<number>([
  protocolCode.concurrentTransactions,
  protocolCode.coordinatorLoadInProgress,
  protocolCode.coordinatorNotAvailable,
  protocolCode.notCoordinator,
]);

const moved = new Set<number>([protocolCode.coordinatorNotAvailable, protocolCode.notCoordinator]);

/** Transactions on the protocol: each step answers for itself, and the commit is asked for once. */
export class PlatformaticTransactionalPublisher implements TransactionalPublisher {
  readonly #wire: Wire;
  readonly #id: string;
  readonly #timeoutMs: number;
  #session: ProducerSession | null = null;
  #coordinator: number | null = null;
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(connection: KafkaConnection, options: TransactionalPublisherOptions) {
    this.#id = options.transactionalId;
    this.#timeoutMs = options.transactionTimeoutMs ?? 10_000;
    this.#wire = new Wire(connection, {
      requestTimeoutMs: Math.max(500, Math.min(connection.requestTimeoutMs ?? 5_000, Math.floor(this.#timeoutMs / 2))),
    });
  }

  fence(): Promise<void> {
    return this.#inTurn(async () => {
      this.#discard();
      const deadline = performance.now() + this.#wire.requestTimeoutMs * 2;
      const identity = await this.#patiently('fence', deadline, (coordinator) =>
        initProducer(this.#wire, coordinator, {
          transactionalId: this.#id,
          transactionTimeoutMs: this.#timeoutMs,
        }),
      );
      this.#session = { identity, sequences: new Map() };
    });
  }

  transaction(messages: readonly OutgoingMessage[]): Promise<{ outcome: 'committed'; report: PublishReport }> {
    return this.#inTurn(async () => {
      checkMessages(messages);
      const session = this.#session;
      if (!session) {
        throw new KafkaError('KAFKA_FENCE_REQUIRED', `${this.#name}: fence() must be called first`, {
          retryable: false,
        });
      }
      try {
        return { outcome: 'committed', report: await this.#transaction(session, messages) };
      } catch (error) {
        this.#discard();
        throw error;
      }
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue;
    this.#wire.close();
  }

  async #transaction(session: ProducerSession, messages: readonly OutgoingMessage[]): Promise<PublishReport> {
    const deadline = performance.now() + this.#timeoutMs;
    const delivery = new Delivery(messages, {
      wire: this.#wire,
      acks: 'all',
      transactionalId: this.#id,
      together: true,
      session: async () => session,
      sessionLost: () => false,
    });
    if (delivery.partitions.length === 0) return { acknowledged: [], failed: [] };
    try {
      await this.#addPartitions(session, delivery.partitions, deadline);
      const { report } = await delivery.run(deadline);
      const hopeless = report.failed.filter(({ error }) => !error.retryable);
      const failed = hopeless.length > 0 ? hopeless : report.failed;
      if (failed[0]) {
        const { code, message, retryable, cause } = failed[0].error;
        throw new KafkaError(code, message, { retryable, cause, failed });
      }
      await this.#commit(session, deadline);
      return report;
    } catch (thrown) {
      const error = toKafkaError(thrown, this.#name);
      if (error.code !== 'KAFKA_FENCED' && error.code !== 'KAFKA_COMMIT_UNKNOWN') await this.#abort(session);
      throw error;
    }
  }

  async #addPartitions(
    { identity }: ProducerSession,
    partitions: readonly { topic: string; partition: number }[],
    deadline: number,
  ): Promise<void> {
    const topics = [...Map.groupBy(partitions, ({ topic }) => topic)].map(([name, group]) => ({
      name,
      partitions: group.map(({ partition }) => partition),
    }));
    await this.#patiently('begin', deadline, async (coordinator) => {
      const answer = await answerWithErrors(
        this.#wire.request(
          coordinator,
          'add partitions',
          [addPartitionsToTxnV3.api],
          [[{ transactionalId: this.#id, ...identity, verifyOnly: false, topics }]],
        ),
      );
      const codes = answer.resultsByTransaction.flatMap(({ topicResults }) =>
        topicResults.flatMap(({ resultsByPartition }) =>
          resultsByPartition.map(({ partitionErrorCode }) => partitionErrorCode),
        ),
      );
      // With one bad partition, the good ones answer that nothing was attempted.
      const operationNotAttempted = 55;
      const bad = codes.find((code) => code !== 0 && code !== operationNotAttempted);
      if (bad !== undefined) throw errorWithCode(bad, `${this.#name}: begin`);
    });
  }

  /** Asked for once: when the answer is lost, the caller fences, and reads what was committed. */
  async #commit(session: ProducerSession, deadline: number): Promise<void> {
    try {
      await this.#end(session, true, deadline);
    } catch (thrown) {
      const error = toKafkaError(thrown, `${this.#name}: commit`);
      if (error.code === 'KAFKA_FENCED' || (!mayHaveArrived(thrown) && codeOf(thrown) !== null)) throw error;
      throw new KafkaError('KAFKA_COMMIT_UNKNOWN', error.message, { retryable: false, cause: thrown });
    }
  }

  /** Readers wait for an open transaction, so end it now if that is possible; `fence()` does it in any case. */
  async #abort(session: ProducerSession): Promise<void> {
    await this.#end(session, false, performance.now() + 1_000).catch(() => undefined);
  }

  async #end({ identity }: ProducerSession, commit: boolean, deadline: number): Promise<void> {
    await this.#patiently(commit ? 'commit' : 'abort', deadline, (coordinator) =>
      this.#wire.request(
        coordinator,
        commit ? 'commit' : 'abort',
        [endTxnV4.api, endTxnV3.api],
        [this.#id, identity.producerId, identity.producerEpoch, commit],
        { deadlineMs: Math.min(this.#wire.requestTimeoutMs, Math.max(250, Math.ceil(deadline - performance.now()))) },
      ),
    );
  }

  /** Asks the coordinator again while its answer says that it did nothing yet. */
  async #patiently<Answer>(
    what: string,
    deadline: number,
    ask: (coordinator: number) => Promise<Answer>,
  ): Promise<Answer> {
    for (let pauseMs = 4; ; pauseMs = Math.min(100, pauseMs * 1.6)) {
      try {
        this.#coordinator ??= await findCoordinator(this.#wire, 'transaction', this.#id);
        return await ask(this.#coordinator);
      } catch (thrown) {
        const code = codeOf(thrown);
        if (code === null || moved.has(code)) this.#coordinator = null;
        if (code === null || !passing.has(code) || performance.now() + pauseMs > deadline) {
          throw code === null ? thrown : errorWithCode(code, `${this.#name}: ${what}`);
        }
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#closed) {
      return Promise.reject(new KafkaError('KAFKA_CLOSED', `${this.#name} is closed`, { retryable: false }));
    }
    const turn = this.#queue.then(work).catch((error) => {
      throw toKafkaError(error, this.#name);
    });
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  #discard(): void {
    this.#session = null;
    this.#coordinator = null;
    this.#wire.dropAll();
  }

  get #name(): string {
    return `Transactional publisher ${this.#id}`;
  }
}

const codesOfErrors = new WeakMap<object, number>();

/** The port's error, with Kafka's own code remembered for `codeOf`. */
function errorWithCode(errorCode: number, what: string): KafkaError {
  const error = errorOfProtocolCode(errorCode, what);
  codesOfErrors.set(error, errorCode);
  return error;
}

function codeOf(error: unknown): number | null {
  return (typeof error === 'object' && error !== null && codesOfErrors.get(error)) || protocolCodeOf(error);
}

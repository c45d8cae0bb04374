import { setTimeout as pause } from 'node:timers/promises';
import { KafkaError } from '../errors.ts';
import type { TransactionalKafkaPort, TransactionalPublisher } from '../port.ts';
import type { TransactionCall } from './check-transactions.ts';
import { SeededRandom } from './random.ts';

/** The last partition takes the position, the ones before it the events; each transaction writes the same id to all. */
const partitions = 3;
/** Once nothing is broken any more. */
const fenceWithinMs = 120_000;

export interface TransactionLoadOptions {
  port: TransactionalKafkaPort;
  /** With 3 partitions. */
  topic: string;
  seed: number;
}

/**
 * Transactions as the relay makes them: fence, read the position, publish, and after every error from the start. Now and then
 * a second holder takes over the transactional id, and the one before it tries once more.
 */
export class TransactionLoad {
  static readonly partitions = partitions;
  readonly calls: TransactionCall[] = [];
  readonly #options: TransactionLoadOptions;
  readonly #random: SeededRandom;
  readonly #run: Promise<void>;
  #stopping = false;
  #fenceUntilMs = Number.POSITIVE_INFINITY;
  #stopped: Promise<void> | null = null;
  #holder: TransactionalPublisher;
  #number = 0;

  constructor(options: TransactionLoadOptions) {
    this.#options = options;
    this.#random = new SeededRandom(`transactions ${options.seed}`);
    this.#holder = this.#newHolder();
    this.#run = this.#work();
  }

  /** When it resolves, all transactions are decided. */
  stop(): Promise<void> {
    this.#stopping = true;
    if (this.#stopped === null) this.#fenceUntilMs = performance.now() + fenceWithinMs;
    this.#stopped ??= this.#run.then(() => this.#fence()).finally(() => this.#holder.close());
    return this.#stopped;
  }

  #newHolder(): TransactionalPublisher {
    const { port, topic } = this.#options;
    return port.transactionalPublisher({ transactionalId: topic, transactionTimeoutMs: 5000 });
  }

  async #work(): Promise<void> {
    let fenced = false;
    while (!this.#stopping) {
      if (!fenced) {
        await this.#fence();
        fenced = true;
      }
      if (this.#random.next() < 0.05) fenced = await this.#takeOver();
      else {
        const call = await this.#transaction(this.#holder);
        this.calls.push(call);
        if (call.outcome === 'committed') this.#number++;
        else fenced = false;
      }
      await pause(20);
    }
  }

  /** A new holder fences, and then the old one, which does not know it, tries another transaction. */
  async #takeOver(): Promise<boolean> {
    const newer = this.#newHolder();
    try {
      await newer.fence();
    } catch {
      await newer.close();
      return false;
    }
    const older = this.#holder;
    this.#holder = newer;
    const { id, number, outcome } = await this.#transaction(older);
    this.calls.push({ id, number, outcome: 'zombie', believed: outcome === 'committed' });
    await older.close();
    return false;
  }

  /** Takes the transactional id and reads the position: however long that takes while things are broken. */
  async #fence(): Promise<void> {
    for (;;) {
      try {
        await this.#holder.fence();
        const position = await this.#options.port.lastCommitted({
          topic: this.#options.topic,
          partition: partitions - 1,
        });
        this.#number = position?.value ? Number(String(position.value).split('#')[0]) : 0;
        return;
      } catch (error) {
        if (performance.now() > this.#fenceUntilMs) throw error;
        await pause(100);
      }
    }
  }

  async #transaction(by: TransactionalPublisher): Promise<TransactionCall> {
    const number = this.#number + 1;
    const id = `${number}#${this.calls.length}`;
    const { topic } = this.#options;
    try {
      await by.transaction(
        Array.from({ length: partitions }, (_, partition) => ({ topic, partition, key: null, value: Buffer.from(id) })),
      );
      return { id, number, outcome: 'committed' };
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      return { id, number, outcome: error.code === 'KAFKA_COMMIT_UNKNOWN' ? 'unknown' : 'refused' };
    }
  }
}

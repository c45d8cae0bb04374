import type { EachBatchPayload } from 'kafkajs';
import { partitionName } from '../outgoing.ts';
import type { ConsumerOptions, IncomingBatch, Logger } from '../port.ts';
import type { Assignment } from './assignment.ts';
import { protocolType } from './errors.ts';
import { incomingBatch } from './incoming.ts';

/** Answers of the coordinator that end this member's generation. */
const membershipLost = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID']);
/** With these, as they are, out of `eachBatch` kafkajs rejoins at once. */
const rejoin = new Set([...membershipLost, 'REBALANCE_IN_PROGRESS', 'NOT_COORDINATOR_FOR_GROUP']);

export interface BatchWorkContext {
  assignment: Assignment;
  onBatch: ConsumerOptions['onBatch'];
  logger: Logger | undefined;
  onProgress(): void;
  report(error: unknown, doing: string): void;
}

/** Hands batches to the user, keeps the membership alive meanwhile, and commits what the user resolved. */
export class BatchWork {
  readonly #context: BatchWorkContext;
  readonly #inFlight = new Map<string, { controller: AbortController; done: Promise<void> }>();
  readonly #failures = new Map<string, number>();
  #heartbeat: (() => Promise<void>) | null = null;
  #rejoinError: unknown = null;

  constructor(context: BatchWorkContext) {
    this.#context = context;
  }

  /** A new generation began. */
  reset(): void {
    this.#rejoinError = null;
  }

  /** kafkajs's `eachBatch`. Returning without resolving means that the batch comes again. */
  async take(payload: EachBatchPayload): Promise<void> {
    const { topic, partition } = payload.batch;
    const name = partitionName(topic, partition);
    this.#heartbeat = payload.heartbeat;
    await this.#inFlight.get(name)?.done;
    if (this.#rejoinError) throw this.#rejoinError;
    if (payload.isStale() || !this.#context.assignment.flows(name)) return;

    const { promise: done, resolve } = Promise.withResolvers<void>();
    const controller = new AbortController();
    this.#inFlight.set(name, { controller, done });
    try {
      await this.#work(payload, name, controller.signal);
    } finally {
      this.#inFlight.delete(name);
      this.#context.onProgress();
      resolve();
    }
    if (this.#rejoinError) throw this.#rejoinError;
  }

  /** kafkajs sends no heartbeat while a batch is worked on. */
  keepAlive(): void {
    if (this.#inFlight.size > 0) void this.#heartbeat?.().catch((error) => this.#heartbeatFailed(error));
  }

  abort(reason: string): void {
    for (const { controller } of this.#inFlight.values()) controller.abort(new Error(reason));
  }

  async settled(): Promise<void> {
    await Promise.allSettled([...this.#inFlight.values()].map(({ done }) => done));
  }

  async #work(payload: EachBatchPayload, name: string, signal: AbortSignal): Promise<void> {
    const { tenure } = this.#context.assignment;
    const isOwner = () => !signal.aborted && tenure?.holds(performance.now()) === true;
    const batch = incomingBatch(payload.batch);
    const [first, last] = [batch.messages[0]!.offset, batch.messages.at(-1)!.offset];
    let resolved: bigint;
    try {
      resolved = (await this.#context.onBatch(batch, { isOwner, signal }))?.resolvedOffset ?? last;
    } catch (error) {
      if (isOwner()) this.#retryLater(batch, name, error);
      return;
    }
    if (!isOwner()) return;
    if (resolved < first) return this.#retryLater(batch, name, null);
    // After the last message come only markers of transactions, which nobody else would ever resolve.
    const next = resolved >= last ? BigInt(payload.batch.lastOffset()) + 1n : resolved + 1n;
    if (!(await this.#commit(payload, batch, next, isOwner))) return;
    payload.resolveOffset(String(resolved >= last ? last : resolved));
    this.#failures.delete(name);
  }

  /** Answers false where the partition is not ours any more; that is no error of the batch. */
  async #commit(
    payload: EachBatchPayload,
    { topic, partition }: IncomingBatch,
    offset: bigint,
    isOwner: () => boolean,
  ): Promise<boolean> {
    const topics = [{ topic, partitions: [{ partition, offset: String(offset) }] }];
    for (let attempt = 0; isOwner(); attempt++) {
      try {
        await payload.commitOffsetsIfNecessary({ topics });
        return true;
      } catch (error) {
        if (this.#endsGeneration(error)) return false;
        this.#context.report(error, 'Committing an offset failed');
      }
      await new Promise((resolve) => setTimeout(resolve, Math.min(1000, 100 * 2 ** attempt)));
    }
    return false;
  }

  #heartbeatFailed(error: unknown): void {
    if (protocolType(error) === 'REBALANCE_IN_PROGRESS') {
      this.#context.assignment.tenure?.announceRebalance(performance.now());
      this.#context.onProgress();
    }
    this.#endsGeneration(error);
  }

  #endsGeneration(error: unknown): boolean {
    const type = protocolType(error) ?? '';
    if (!rejoin.has(type)) return false;
    this.#rejoinError ??= error;
    if (membershipLost.has(type)) {
      this.#context.assignment.end();
      this.abort('The group gave the partition to somebody else');
    }
    return true;
  }

  #retryLater(batch: IncomingBatch, name: string, error: unknown): void {
    const failures = (this.#failures.get(name) ?? 0) + 1;
    this.#failures.set(name, failures);
    const where = `${batch.topic}[${batch.partition}] from ${batch.messages[0]!.offset}`;
    if (error !== null) this.#context.logger?.warn(`kafka: ${where} comes again after failure ${failures}`, error);
    this.#context.assignment.holdFor(batch, Math.min(5000, 50 * 2 ** Math.min(failures, 10)));
  }
}

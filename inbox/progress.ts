import type { Clock } from '../clock/clock.ts';
import type { IncomingBatch, TopicPartition } from '../kafka/port.ts';
import type { Applied } from './apply.ts';
import { type Lag, type LagContext, lagOf, type PartitionProgress } from './lag.ts';
import type { Position } from './store/store.ts';

/** Knowledge of a partition's end that is older is none. */
const endTrustedMs = 10_000;
/** After this time with nothing in hand, while the consumer is alive, what is left of a partition are markers. */
const quietMs = 2000;

/** Follows what the assigned partitions are doing. Its answers are for figures and `syncing`, never for decisions. */
export class Progress {
  #clock: Clock;
  #partitions = new Map<string, PartitionProgress>();
  #inHand = 0;
  #idleSinceMs: number;
  #lastWorkMs: number;
  #exactEnds: boolean;

  /** `exactEnds`: ends that are heard of do not count markers of transactions, so that nothing is left to guess. */
  constructor(clock: Clock, exactEnds: boolean) {
    this.#clock = clock;
    this.#exactEnds = exactEnds;
    this.#idleSinceMs = clock.monotonicMs();
    this.#lastWorkMs = clock.monotonicMs();
  }

  assigned(positions: readonly Position[]): void {
    this.#lastWorkMs = this.#clock.monotonicMs();
    for (const { topic, partition, offset } of positions) {
      this.#partitions.set(nameOf({ topic, partition }), {
        topic,
        partition,
        position: offset,
        end: null,
        endHeardMs: 0,
        inHandSinceWallMs: null,
        behindSinceWallMs: null,
        lastAppliedWallMs: null,
        lastEventWallMs: null,
      });
    }
  }

  revoked(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) this.#partitions.delete(nameOf(partition));
  }

  moved(position: Position): void {
    const progress = this.#partitions.get(nameOf(position));
    if (progress) progress.position = position.offset;
  }

  began(batch: IncomingBatch): void {
    this.#inHand++;
    const progress = this.#partitions.get(nameOf(batch));
    if (!progress) return;
    progress.inHandSinceWallMs = batch.messages[0]?.timestampMs ?? null;
    this.#heard(progress, batch.highWatermark);
  }

  ended(batch: IncomingBatch): void {
    this.#inHand--;
    this.#idleSinceMs = this.#clock.monotonicMs();
    this.#lastWorkMs = this.#idleSinceMs;
    const progress = this.#partitions.get(nameOf(batch));
    if (progress) progress.inHandSinceWallMs = null;
  }

  applied({ events }: Applied, positions: readonly Position[]): void {
    for (const position of positions) {
      const progress = this.#partitions.get(nameOf(position));
      if (!progress) continue;
      progress.position = position.offset;
      progress.behindSinceWallMs = null;
      if (progress.end !== null) this.#heard(progress, progress.end, progress.endHeardMs);
      if (events.length === 0) continue;
      progress.lastAppliedWallMs = this.#clock.wallMs();
      progress.lastEventWallMs = events.at(-1)!.occurredAt.getTime();
    }
  }

  /**
   * For how long events have waited with nothing handed over at all; 0 where none wait or nobody can tell. A consumer whose
   * heartbeats go on may have stopped to fetch.
   */
  stuckMs(): number {
    const behind = [...this.#partitions.values()].filter(({ end, position }) => end !== null && end > position);
    if (!this.#exactEnds || this.#inHand > 0 || behind.length === 0) return 0;
    const behindForMs = Math.max(...behind.map((each) => this.#clock.wallMs() - (each.behindSinceWallMs ?? Infinity)));
    return Math.max(0, Math.min(behindForMs, this.#clock.monotonicMs() - this.#lastWorkMs));
  }

  /** Whether there is something between the position and this end, and nothing in hand. */
  waitsBefore(partition: TopicPartition, end: bigint): boolean {
    const progress = this.#partitions.get(nameOf(partition));
    return progress !== undefined && progress.inHandSinceWallMs === null && progress.position < end;
  }

  /** A partition's end, as somebody who asked the broker has heard. */
  heardEnd(partition: TopicPartition, end: bigint): void {
    const progress = this.#partitions.get(nameOf(partition));
    if (progress) this.#heard(progress, end);
  }

  /** `lastSignOfLifeMs`: of the consumer. */
  lags(lastSignOfLifeMs: number): (PartitionProgress & { lag: Lag })[] {
    const nowMs = this.#clock.monotonicMs();
    const context: LagContext = {
      nowMs,
      nowWallMs: this.#clock.wallMs(),
      endTrustedMs,
      quiet: !this.#exactEnds && this.#inHand === 0 && lastSignOfLifeMs - this.#idleSinceMs > quietMs,
    };
    return [...this.#partitions.values()].map((progress) => ({ ...progress, lag: lagOf(progress, context) }));
  }

  #heard(progress: PartitionProgress, end: bigint, heardMs = this.#clock.monotonicMs()): void {
    if (progress.end !== null && end > progress.end) this.#idleSinceMs = this.#clock.monotonicMs();
    progress.end = end;
    progress.endHeardMs = heardMs;
    if (end <= progress.position) progress.behindSinceWallMs = null;
    else progress.behindSinceWallMs ??= this.#clock.wallMs();
  }
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic} ${partition}`;
}

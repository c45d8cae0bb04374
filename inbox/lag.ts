import type { TopicPartition } from '../kafka/port.ts';

/** What is known of one assigned partition. Times `…Ms` are monotonic but for those named wall. */
export interface PartitionProgress extends TopicPartition {
  /** The next offset to apply. */
  position: bigint;
  /** Offset after the partition's last message; null as long as nobody has said. */
  end: bigint | null;
  /** When `end` was last heard of. */
  endHeardMs: number;
  /** Time stamp of the first message of the batch in hand that is not applied (wall); null without one. */
  inHandSinceWallMs: number | null;
  /** When the partition was first seen to be behind (wall); null where it is not. */
  behindSinceWallMs: number | null;
  /** When the last event was applied, and when that event had happened (wall). */
  lastAppliedWallMs: number | null;
  lastEventWallMs: number | null;
}

export interface LagContext {
  nowMs: number;
  nowWallMs: number;
  /** Older knowledge of a partition's end is none. */
  endTrustedMs: number;
  /** Nothing is in hand, and fetches are answered, for so long that what is left are markers of transactions. */
  quiet: boolean;
}

/** Null: not known. */
export interface Lag {
  events: number | null;
  ms: number | null;
}

/** How far one partition is behind, in events and in time since the oldest of them. */
export function lagOf(progress: PartitionProgress, context: LagContext): Lag {
  if (progress.end === null || context.nowMs - progress.endHeardMs > context.endTrustedMs)
    return { events: null, ms: null };
  if (progress.end <= progress.position || context.quiet) return { events: 0, ms: 0 };
  const since = progress.inHandSinceWallMs ?? progress.behindSinceWallMs ?? context.nowWallMs;
  return { events: Number(progress.end - progress.position), ms: Math.max(0, context.nowWallMs - since) };
}

/** The worst of several partitions: one that is not known makes the whole not known. */
export function worstLag(lags: readonly Lag[]): Lag {
  let worst: Lag = { events: 0, ms: 0 };
  for (const lag of lags) {
    if (lag.events === null || lag.ms === null) return { events: null, ms: null };
    worst = { events: worst.events! + lag.events, ms: Math.max(worst.ms!, lag.ms) };
  }
  return worst;
}

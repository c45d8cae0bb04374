import type { ConsumerStatus } from '../kafka/port.ts';
import { type Lag, type PartitionProgress, worstLag } from './lag.ts';
import type { InboxMode } from './types.ts';

/** What `inboxStatus` answers: plain JSON. Lag is null where it is not known; whoever shows it counts that as syncing. */
export interface InboxStatus {
  group: string;
  mode: InboxMode;
  consumer: {
    state: 'starting' | 'running' | 'rejoining' | 'stopped';
    /** Ms since the last sign of life; null without a consumer. */
    silentMs: number | null;
    lastError: { code: string; message: string } | null;
    /** How often the consumer was made anew because it was silent. */
    rebuilds: number;
  };
  /** Why nothing is applied, where the database has this consumer with another mode; else null. */
  refused: string | null;
  /** Why old ids are not removed, where a topic's settings don't go with the inbox's; else null. */
  retentionRefused: string | null;
  /** The partitions that this process works on. */
  partitions: PartitionStatus[];
  /** Over those: events in all, ms of the worst. */
  lagEvents: number | null;
  lagMs: number | null;
}

export interface PartitionStatus {
  topic: string;
  partition: number;
  /** The next offset to apply, and the offset after the last message. */
  position: string;
  highWatermark: string | null;
  lagEvents: number | null;
  lagMs: number | null;
  /** ISO 8601: when an event was last applied here, and when that event had happened. */
  lastAppliedAt: string | null;
  lastEventAt: string | null;
}

export function statusOf(input: {
  group: string;
  mode: InboxMode;
  consumer: ConsumerStatus | null;
  rebuilds: number;
  refused: string | null;
  retentionRefused: string | null;
  nowMs: number;
  partitions: readonly (PartitionProgress & { lag: Lag })[];
}): InboxStatus {
  const { consumer } = input;
  const worst = worstLag(input.partitions.map(({ lag }) => lag));
  const unassigned = input.partitions.length === 0 && consumer?.state !== 'running';
  return {
    group: input.group,
    mode: input.mode,
    consumer: {
      state: consumer?.state ?? 'stopped',
      silentMs: consumer ? Math.max(0, Math.round(input.nowMs - consumer.lastProgressMs)) : null,
      lastError: consumer?.lastError ? { code: consumer.lastError.code, message: consumer.lastError.message } : null,
      rebuilds: input.rebuilds,
    },
    refused: input.refused,
    retentionRefused: input.retentionRefused,
    partitions: input.partitions.map((progress) => ({
      topic: progress.topic,
      partition: progress.partition,
      position: String(progress.position),
      highWatermark: progress.end === null ? null : String(progress.end),
      lagEvents: progress.lag.events,
      lagMs: progress.lag.ms === null ? null : Math.round(progress.lag.ms),
      lastAppliedAt: isoOf(progress.lastAppliedWallMs),
      lastEventAt: isoOf(progress.lastEventWallMs),
    })),
    lagEvents: unassigned ? null : worst.events,
    lagMs: unassigned || worst.ms === null ? null : Math.round(worst.ms),
  };
}

function isoOf(wallMs: number | null): string | null {
  return wallMs === null ? null : new Date(wallMs).toISOString();
}

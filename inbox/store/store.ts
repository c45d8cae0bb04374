import type { TopicPartition } from '../../kafka/port.ts';
import type { DeadLetterTable } from '../dead-letters/table.ts';
import type { Arrival, Stream, StreamKey, StreamState } from '../plan.ts';
import type { Poison } from '../read.ts';
import type { RetentionTable } from '../retention/table.ts';
import type { InboxMode, InboxTransaction } from '../types.ts';

/** Where the inbox keeps what it knows. The MySQL store is the real one; a simulator brings its own. */
export interface InboxStore {
  /** One transaction: all of it or nothing. Errors are classified by `faultOf`. */
  transaction<Result>(work: (tx: StoreTransaction) => Promise<Result>): Promise<Result>;
  /** The stored positions among these partitions. */
  offsets(partitions: readonly TopicPartition[]): Promise<Position[]>;
  /** All stored positions of this consumer, with the time they were written. */
  allOffsets(): Promise<(Position & { updatedAt: Date })[]>;
  /** Sets a position, also backwards: only where the topic no longer holds the stored one. */
  resetOffset(position: Position): Promise<void>;
  /** Streams with events that have been parked for so long, the oldest first. */
  gaps(olderThanMs: number, limit: number): Promise<Gap[]>;
  backlog(): Promise<Backlog>;
  /** Where people can work on dead letters, and where old rows can be removed; a store need not have them. */
  readonly deadLetters?: DeadLetterTable;
  readonly retention?: RetentionTable;
  /** Makes the consumer known, where it is not yet. Throws `InboxModeError`. A store need not know consumers. */
  register?(): Promise<void>;
  close(): Promise<void>;
}

export interface Position extends TopicPartition {
  /** The next offset to read. */
  offset: bigint;
}

export interface StoreTransaction {
  /** What handlers get. */
  readonly handlerTransaction: InboxTransaction;
  /**
   * The state of these streams, each locked until the end. Missing ones are created first: a locking read of a
   * row that is not there locks nothing.
   */
  lockStreams(streams: readonly NewStream[]): Promise<Map<StreamKey, StreamState>>;
  /** Which of these ids are recorded. */
  findSeen(ids: readonly string[]): Promise<Set<string>>;
  /** Records ids. Throws `KnownIdError` where one is there already; nothing is recorded then. */
  record(ids: readonly string[]): Promise<void>;
  writeStreams(streams: readonly StreamState[]): Promise<void>;
  /** Never moves a position backwards: a consumer that lost its partition may still be at work. */
  writeOffsets(positions: readonly Position[]): Promise<void>;
  /** Events parked for these streams. */
  findParked(streams: readonly Stream[]): Promise<Map<StreamKey, Arrival[]>>;
  park(arrivals: readonly Arrival[]): Promise<void>;
  unpark(arrivals: readonly Arrival[]): Promise<void>;
  /** Stores dead letters; one that is there already gets its attempts added up. */
  writeDeadLetters(poison: readonly Poison[]): Promise<void>;
}

/** What the row of a stream begins with where there is none. */
export interface NewStream extends Stream {
  incarnation: string;
  /** What counts as applied already: 0 for nothing. */
  version: bigint;
  occurredAtMs: number;
}

/** A stream whose parked events wait for one that is missing. */
export interface Gap extends Stream {
  /** Of the parked events. */
  incarnation: string;
  /** The version that is missing; the watermark's next one, or 1 of a later incarnation. */
  version: bigint;
  /** How many events wait for it, the version of the first, when it happened, and where it came from. */
  parked: number;
  firstParked: bigint;
  firstParkedAtMs: number;
  topic: string;
  partition: number;
  /** Since when they wait, ms ago by the database's clock. */
  ageMs: number;
}

/** What waits for somebody. */
export interface Backlog {
  parked: number;
  oldestParkedAgeMs: number;
  deadLetters: number;
}

/** A consumer that was registered with another mode. Starting again does not help. */
export class InboxModeError extends Error {
  override readonly name = 'InboxModeError';
  readonly code = 'INBOX_MODE_CHANGED';
  readonly retryable = false;

  constructor(consumer: string, stored: string, given: InboxMode) {
    super(
      `The inbox ${consumer} has mode ${stored} in its database and ${given} here; its watermarks are of use to ${stored} alone. ` +
        `Set the mode back to ${stored}, or take another group: that one reads its topics from their beginning.`,
    );
  }
}

import type { KafkaError } from '../errors.ts';
import type { IncomingMessage, TopicPartition } from '../port.ts';
import type { Enough } from './enough.ts';

export interface FetchedBatch extends TopicPartition {
  highWatermark: bigint;
  /** Position after this batch, control records and aborted messages included. */
  next: bigint;
  /** Reads its messages, of which there may be none. Until then it is bytes alone: many batches may wait. */
  messages(): IncomingMessage[];
}

export interface OutOfRange extends TopicPartition {
  offset: bigint;
  beginning: bigint;
  end: bigint;
  /** The topic was deleted and made anew. */
  recreated: boolean;
}

export interface FetcherOptions {
  maxWaitMs: number;
  maxBytes: number;
  maxBytesPerPartition: number;
  /** What must be read for the state `reading`. Default: every partition. */
  enough?: Enough;
  /** How long a broker may take beyond `maxWaitMs`; then the connection is thrown away. */
  answerTimeoutMs: number;
  /** The partition is not fetched again before this resolves. Must not reject. */
  onBatch(batch: FetchedBatch): Promise<void> | void;
  /** Where to go on when the position is outside what the partition holds. */
  onOutOfRange(at: OutOfRange): Promise<bigint> | bigint;
  onStateChange?(state: 'reading' | 'disconnected', error: KafkaError | null): void;
}

/** A partition that is read, as the fetcher's loops see it. */
export interface Reading extends TopicPartition {
  from: 'beginning' | 'end' | bigint;
  position: bigint | null;
  topicId: string | null;
  /** The broker whose loop fetches it; null while it is looked for. */
  leader: number | null;
  /** Fetched since it was last looked for. */
  healthy: boolean;
  /** Looked for or fetched in vain at least once. */
  tried: boolean;
  busy: boolean;
  paused: boolean;
  /** How often its leader was lost since the last successful fetch. */
  losses: number;
}

/** A partition whose leader and position are still to be found. */
export function newReading({ topic, partition, from }: TopicPartition & Pick<Reading, 'from'>): Reading {
  return {
    topic,
    partition,
    from,
    position: typeof from === 'bigint' ? from : null,
    topicId: null,
    leader: null,
    healthy: false,
    tried: false,
    busy: false,
    paused: false,
    losses: 0,
  };
}

import type { Gap } from '../store/store.ts';

/** What a producer says about a version that a consumer misses. */
export type GapAnswer =
  /** Here it is, as it would have come from Kafka. */
  | { answer: 'event'; message: { key: Buffer; value: Buffer; headers: Readonly<Record<string, Buffer>> } }
  /** Not sent yet: it will come. */
  | { answer: 'pending' }
  /** Its key is blocked for good: somebody has to act at the producer. */
  | { answer: 'dead' }
  /** Dropped on purpose: nobody needs to wait for it. */
  | { answer: 'skipped' }
  /** The producer no longer has it. */
  | { answer: 'gone' };

/** Asks the producer of `gap.source` for `gap.version`. Throws where it cannot be asked now. */
export type AskProducer = (gap: Gap) => Promise<GapAnswer>;

/** Nothing of the stream is parked, so there is nothing to go on with. */
export class NoGapError extends Error {
  override readonly name = 'NoGapError';
  readonly code = 'INBOX_NO_GAP';
  readonly retryable = false;
}

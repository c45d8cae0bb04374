import type { Routed } from '../batch/pack.ts';
import type { Settled } from '../batch/settle.ts';
import type { Term } from '../lease/types.ts';

/**
 * How a bucket's batches get into Kafka. `at-least-once` publishes and reports. A stricter one (exactly-once: a fence at
 * the broker and a position record with the ids of each batch) needs the other two hooks as well; see docs/adr/0006-relay.md.
 */
export interface Delivery {
  /**
   * Before the first batch of a term, and again after `deliver` asked for it. Answers ids that are in the topic already:
   * they are deleted before the head is read anew. Throws where the term is not (or no longer) mine; it is tried again
   * while the lease is believed in.
   */
  begin(term: Term): Promise<{ alreadySent: readonly string[] }>;
  /**
   * Sends one batch, in order. `unconfirmed` are ids of earlier batches whose delete is not known to be committed.
   * Never throws for a broker's fault: what has no acknowledgement is in `failures` or `again`.
   */
  deliver(batch: readonly Routed[], unconfirmed: readonly string[]): Promise<Settled & { beginAgain: boolean }>;
  close(): Promise<void>;
}

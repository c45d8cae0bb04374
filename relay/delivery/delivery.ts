import { KafkaError } from '../../kafka/errors.ts';
import type { Routed } from '../batch/pack.ts';
import type { Settled } from '../batch/settle.ts';
import type { Term } from '../lease/types.ts';

/**
 * How a bucket's batches get into Kafka. `at-least-once` publishes and reports. `exactly-once` (a fence at the broker and a
 * position record with the ids of each batch) needs the other two as well; see docs/adr/0012-delivery-modes.md.
 */
export interface Delivery {
  /**
   * Before the first batch of a term, also where there is none, and again after `deliver` threw or asked for it. Answers ids
   * that are in the topic already: they are deleted before the head is read anew. Throws where the term is not (or no
   * longer) mine; it is tried again while the lease is believed in.
   */
  begin(term: Term): Promise<{ alreadySent: readonly string[] }>;
  /**
   * Sends one batch, or a part of it, in order. `unconfirmed` are ids of earlier batches whose delete is not known to be
   * committed. What has no acknowledgement is in `failures` or `again`. Throws where it is not known whether any of it is in
   * the topic, or where the fault lies in nothing that was sent: `begin` finds out.
   */
  deliver(batch: readonly Routed[], unconfirmed: readonly string[]): Promise<Settled & { beginAgain: boolean }>;
  close(): Promise<void>;
}

export function asKafkaError(cause: unknown): KafkaError {
  if (cause instanceof KafkaError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new KafkaError('KAFKA_UNEXPECTED', `publishing: ${message}`, { retryable: true, cause });
}

import type { KafkaError } from '../../kafka/errors.ts';
import { keyCause, partitionCause, type Routed } from '../batch/pack.ts';
import { type Failure, failureOf } from '../batch/settle.ts';

/** The broker refuses the message itself, and will again. */
const refusals = new Set<string>(['KAFKA_MESSAGE_TOO_LARGE', 'KAFKA_BAD_ARGUMENT']);

export function isRefusal(error: KafkaError): boolean {
  return refusals.has(error.code);
}

/**
 * A transaction is all or nothing, so one bad event or partition fails everything beside it. This finds it: it says which part
 * of a batch to send next, takes half as much after each failure, and ends with a single partition or a single event.
 * Where the client names the culprit, that takes one step.
 */
export class Isolation {
  #mostPartitions = Number.POSITIVE_INFINITY;
  #mostEvents = Number.POSITIVE_INFINITY;
  /** Rows that were refused: they go alone when their turn comes again. */
  readonly #refused = new Set<string>();

  /** What to send of a batch now. Once a key's event is left out, its later ones are as well. */
  choose(batch: readonly Routed[]): readonly Routed[] {
    const refused = this.#refused.size > 0 ? this.#firstRefused(batch) : null;
    if (refused) return [refused];
    if (this.#mostPartitions === Number.POSITIVE_INFINITY && batch.length <= this.#mostEvents) return batch;
    const taken = new Set<string>();
    const leftKeys = new Set<string>();
    const chosen: Routed[] = [];
    for (const routed of batch) {
      const partition = partitionCause(routed.topic, routed.partition);
      if (leftKeys.has(routed.row.keyHash)) continue;
      if (!taken.has(partition) && taken.size >= this.#mostPartitions) {
        leftKeys.add(routed.row.keyHash);
        continue;
      }
      if (chosen.length >= this.#mostEvents) break;
      taken.add(partition);
      chosen.push(routed);
    }
    return chosen;
  }

  succeeded(sent: readonly Routed[]): void {
    if (this.#refused.size > 0) for (const { row } of sent) this.#refused.delete(row.id);
    this.#mostPartitions *= 2;
    this.#mostEvents *= 2;
    if (this.#mostPartitions > 10_000) this.#mostPartitions = Number.POSITIVE_INFINITY;
    if (this.#mostEvents > 100_000) this.#mostEvents = Number.POSITIVE_INFINITY;
  }

  /** It is not committed. Answers what is to wait for it; nothing: a smaller part is to be tried. */
  failed(sent: readonly Routed[], error: KafkaError): Failure[] {
    const named = this.#named(sent, error);
    if (named.length > 0) return named;
    const partitions = new Set(sent.map(({ topic, partition }) => partitionCause(topic, partition)));
    if (partitions.size > 1) {
      this.#mostPartitions = Math.ceil(partitions.size / 2);
      return [];
    }
    if (isRefusal(error) && sent.length > 1) {
      this.#mostEvents = Math.ceil(sent.length / 2);
      return [];
    }
    this.#mostPartitions = Number.POSITIVE_INFINITY;
    this.#mostEvents = Number.POSITIVE_INFINITY;
    if (isRefusal(error)) return [this.#refuse(sent, error)];
    return [failureOf([...partitions][0]!, error, false, sent)];
  }

  #named(sent: readonly Routed[], error: KafkaError): Failure[] {
    const failures: Failure[] = [];
    for (const { topic, partition, error: why, refused = [] } of error.failed) {
      const events = refused.flatMap((place) => sent[place] ?? []);
      for (const ofKey of Map.groupBy(events, ({ row }) => row.keyHash).values())
        failures.push(this.#refuse(ofKey, why));
      if (refused.length > 0) continue;
      const inPartition = sent.filter((one) => one.topic === topic && one.partition === partition);
      if (inPartition.length > 0) {
        failures.push(failureOf(partitionCause(topic, partition), why, false, inPartition));
      }
    }
    return failures;
  }

  /** Events of one key: one failure, and so one attempt. */
  #refuse(ofKey: readonly Routed[], error: KafkaError): Failure {
    for (const { row } of ofKey) this.#refused.add(row.id);
    return failureOf(keyCause(ofKey[0]!.row.keyHash), error, true, ofKey);
  }

  /** A refused event that is the first of its key here: what is before it in the order was sent. */
  #firstRefused(batch: readonly Routed[]): Routed | null {
    const seen = new Set<string>();
    for (const routed of batch) {
      if (this.#refused.has(routed.row.id) && !seen.has(routed.row.keyHash)) return routed;
      seen.add(routed.row.keyHash);
    }
    return null;
  }
}

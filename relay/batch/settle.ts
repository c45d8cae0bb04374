import { KafkaError } from '../../kafka/errors.ts';
import type { PublishReport } from '../../kafka/port.ts';
import { keyCause, partitionCause, type Routed } from './pack.ts';

/** A partition's events have no acknowledgement, or the broker refuses a single event for good. */
export interface Failure {
  /** The partition, or the refused event's key: what is tried again as one thing. */
  cause: string;
  error: KafkaError;
  refused: boolean;
  ids: string[];
  keyHashes: string[];
  /** The oldest of them. */
  first: Routed;
}

export interface Settled {
  /** Exactly the rows to delete. */
  acknowledged: Routed[];
  failures: Failure[];
  /** Not acknowledged only because of others beside them, or not sent yet: they may go again at once, without those. */
  again: Routed[];
}

/** Says of each event that was sent whether it is acknowledged. Without a clear yes it is not. */
export function settle(sent: readonly Routed[], report: PublishReport): Settled {
  const byPartition = new Map<string, { routed: Routed[]; places: number[] }>();
  sent.forEach((routed, place) => {
    const cause = partitionCause(routed.topic, routed.partition);
    const group = byPartition.get(cause) ?? { routed: [], places: [] };
    byPartition.set(cause, group);
    group.routed.push(routed);
    group.places.push(place);
  });
  const answered = new Map(report.acknowledged.map((part) => [partitionCause(part.topic, part.partition), part.count]));
  const failed = new Map(report.failed.map((part) => [partitionCause(part.topic, part.partition), part]));

  const settled: Settled = { acknowledged: [], failures: [], again: [] };
  for (const [cause, { routed, places }] of byPartition) {
    const failure = failed.get(cause);
    if (!failure && answered.get(cause) === routed.length) {
      settled.acknowledged.push(...routed);
      continue;
    }
    const refusedPlaces = new Set(failure?.refused ?? []);
    const refused = routed.filter((_, index) => refusedPlaces.has(places[index]!));
    const others = routed.filter((_, index) => !refusedPlaces.has(places[index]!));
    const error = failure?.error ?? shortAnswer(cause, routed.length, answered.get(cause) ?? 0);
    // Several of one key are one failure: one attempt, and the first of them is what holds the key up.
    for (const [keyHash, ofKey] of Map.groupBy(refused, ({ row }) => row.keyHash)) {
      settled.failures.push(failureOf(keyCause(keyHash), error, true, ofKey));
    }
    if (refused.length > 0) settled.again.push(...others);
    else settled.failures.push(failureOf(cause, error, false, others));
  }
  return settled;
}

/** The same where the whole call failed. */
export function settleAsFailed(sent: readonly Routed[], error: KafkaError): Settled {
  return settle(sent, {
    acknowledged: [],
    failed: [...new Map(sent.map((one) => [partitionCause(one.topic, one.partition), one])).values()].map((one) => ({
      topic: one.topic,
      partition: one.partition,
      error,
    })),
  });
}

/** Is an event without an acknowledgement before this one, of the same key in the same batch? */
export function isBehindUnsent(routed: Routed, batch: readonly Routed[], acknowledged: readonly Routed[]): boolean {
  const isEarlier = ({ row }: Routed) => row.keyHash === routed.row.keyHash;
  return batch.slice(0, batch.indexOf(routed)).some((one) => isEarlier(one) && !acknowledged.includes(one));
}

export function failureOf(cause: string, error: KafkaError, refused: boolean, routed: readonly Routed[]): Failure {
  return {
    cause,
    error,
    refused,
    ids: routed.map(({ row }) => row.id),
    keyHashes: [...new Set(routed.map(({ row }) => row.keyHash))],
    first: routed[0]!,
  };
}

function shortAnswer(cause: string, sent: number, acknowledged: number): KafkaError {
  return new KafkaError(
    'KAFKA_NOT_ACKNOWLEDGED',
    `${acknowledged} of ${sent} events for ${cause} were acknowledged: all of them are sent again`,
    { retryable: true },
  );
}

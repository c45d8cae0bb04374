/** What happened to a consumer group, in the order of time. Offsets: `from` is the first, `next` the one after the last. */
export type ConsumerEvent =
  /** A member was given a batch. */
  | { kind: 'handed'; member: string; partition: number; from: bigint; next: bigint }
  /** A member that works on a batch was told that it still is the owner, at a time when it asked. */
  | { kind: 'owner'; member: string; partition: number }
  /** A member is done with a batch; it may be committed from now on. */
  | { kind: 'handled'; member: string; partition: number; from: bigint; next: bigint }
  /** The group's position, seen from outside. */
  | { kind: 'committed'; partition: number; offset: bigint };

export interface ConsumedVerdict {
  /** Batches that members were done with. */
  batches: number;
  /** Messages that were handled more than once: allowed. */
  repeated: number;
  /** Messages of the topic that no member was done with. */
  missed: string[];
  /** Batches that began behind a message that nobody was done with. */
  skipped: string[];
  /** Positions behind a message that nobody was done with. */
  committedPast: string[];
  /** A member held itself for the owner after another one had got a batch of the partition. */
  twoOwners: string[];
}

/** Pure. `ends`: the offset after the last message of each partition; all begin at 0 and have no holes. */
export function checkConsumed(
  events: readonly ConsumerEvent[],
  ends: readonly { partition: number; end: bigint }[],
): ConsumedVerdict {
  const verdict: ConsumedVerdict = {
    batches: 0,
    repeated: 0,
    missed: [],
    skipped: [],
    committedPast: [],
    twoOwners: [],
  };
  /** All before it was handled. Batches never begin behind it, or are in `skipped`. */
  const done = new Map<number, bigint>();
  const holder = new Map<number, string>();
  const doneOf = (partition: number) => done.get(partition) ?? 0n;
  for (const event of events) {
    const { partition } = event;
    switch (event.kind) {
      case 'handed':
        if (event.from > doneOf(partition)) verdict.skipped.push(`${partition}: ${doneOf(partition)} to ${event.from}`);
        holder.set(partition, event.member);
        break;
      case 'owner':
        if (holder.get(partition) !== event.member) {
          verdict.twoOwners.push(`${partition}: ${event.member}, and ${holder.get(partition)} has a batch`);
        }
        break;
      case 'handled': {
        verdict.batches++;
        const before = doneOf(partition);
        if (event.from < before) verdict.repeated += Math.min(Number(event.next), Number(before)) - Number(event.from);
        if (event.from <= before && event.next > before) done.set(partition, event.next);
        break;
      }
      case 'committed':
        if (event.offset > doneOf(partition)) {
          verdict.committedPast.push(`${partition}: ${event.offset}, handled up to ${doneOf(partition)}`);
        }
        break;
    }
  }
  for (const { partition, end } of ends) {
    if (doneOf(partition) < end) verdict.missed.push(`${partition}: ${doneOf(partition)} to ${end}`);
  }
  return verdict;
}

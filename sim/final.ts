import { isSkipped } from '../events/skipped.ts';
import type { Comparison, FinalState } from './history.ts';
import type { Parts } from './parts.ts';

/** What is left in the databases and the topic at the end of a run. */
export function finalState({ producer, source, inbox, broker }: Parts): FinalState {
  const { effects, parked, dead, projection, offsets } = inbox;
  const recounts: Comparison[] = producer.counts.map(({ event, said, true: counted }) => ({
    name: `the count in ${event}`,
    shown: said,
    counted,
  }));
  for (const [aggregate, { version, likes }] of projection) {
    const newest = producer.ledger.findLast((row) => row.aggregate === aggregate);
    if (newest?.version !== version) continue;
    recounts.push({ name: `likes of ${aggregate}`, shown: likes, counted: producer.likes.get(aggregate) });
  }
  return {
    ...{ ledger: producer.ledger, unsent: source.unsent(), effects, recounts },
    skipped: [...source.tables.events.values()].filter(({ eventType }) => isSkipped(eventType)).map((e) => e.eventId),
    parked: [...parked.values()].map(({ arrival }) => arrival.event.eventId),
    deadLetters: [...dead.values()].flatMap(({ event }) => event?.eventId ?? []),
    projection: [...projection].map(([aggregate, { version, applied, sum }]) => ({ aggregate, version, applied, sum })),
    positions: broker.partitions.map((_, partition) => ({
      partition,
      stored: Number(offsets.get(partition) ?? 0n),
      end: Number(broker.end(partition)),
    })),
  };
}

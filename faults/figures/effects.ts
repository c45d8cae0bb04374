import type { Observed } from '../truth/read.ts';

/** What became of the events of one slot, in the effects of the auditor. */
export interface EffectCounts {
  events: number;
  lost: number;
  duplicated: number;
  outOfOrder: number;
  /** Further copies in the topics: allowed, since delivery there is at least once. */
  copiesInTopic: number;
}

/** Counts for the events that were committed in each of the spans. Pure. */
export function effectCounts(
  { ledger, effects, stored }: Pick<Observed, 'ledger' | 'effects' | 'stored'>,
  consumer: string,
  spans: readonly { fromMs: number; toMs: number }[],
): EffectCounts[] {
  const times = new Map<string, number>();
  const disordered = new Set<string>();
  const last = new Map<string, number>();
  for (const effect of effects) {
    if (effect.consumer !== consumer || effect.event === null) continue;
    times.set(effect.event, (times.get(effect.event) ?? 0) + 1);
    const line = `${effect.source} ${effect.aggregate}`;
    if (effect.version !== (last.get(line) ?? 0) + 1) disordered.add(effect.event);
    last.set(line, effect.version);
  }
  const copies = new Map<string, number>();
  for (const { event } of stored) copies.set(event, (copies.get(event) ?? 0) + 1);
  return spans.map(({ fromMs, toMs }) => {
    const counts: EffectCounts = { events: 0, lost: 0, duplicated: 0, outOfOrder: 0, copiesInTopic: 0 };
    for (const { event, atMs } of ledger) {
      if (atMs < fromMs || atMs >= toMs) continue;
      const count = times.get(event) ?? 0;
      counts.events++;
      if (count === 0) counts.lost++;
      else counts.duplicated += count - 1;
      if (disordered.has(event)) counts.outOfOrder++;
      counts.copiesInTopic += Math.max(0, (copies.get(event) ?? 0) - 1);
    }
    return counts;
  });
}

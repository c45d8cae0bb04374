import { type CallRecord, fingerprintOfCall, isChange } from '../load/calls.ts';
import type { LedgerEntry, Observed } from '../truth/read.ts';
import { eventsByFingerprint } from './histories.ts';

/** A thing that may not be, beside the checker's invariants: what only a whole board has. */
export interface Finding {
  what: string;
  detail: string;
}

/**
 * Changes and events of the producers, compared with what clients were told: each change of a domain table has its event and
 * each event its change; no call took effect twice; a token names the version that its call has made. Pure.
 */
export function checkProducers(observed: Observed, calls: readonly CallRecord[]): Finding[] {
  const found: Finding[] = [];
  const events = new Map<string, number>();
  for (const { source, aggregate } of observed.ledger) {
    if (source === 'view') continue;
    const key = `${source} ${aggregate}`;
    events.set(key, (events.get(key) ?? 0) + 1);
  }
  for (const key of new Set([...events.keys(), ...observed.domainChanges.keys()])) {
    const [made, changed] = [events.get(key) ?? 0, observed.domainChanges.get(key) ?? 0];
    if (made === changed) continue;
    found.push({ what: 'one event for each change', detail: `${key} has ${changed} changes and ${made} events` });
  }
  found.push(...checkViews(observed));
  const byFingerprint = eventsByFingerprint(observed.ledger);
  for (const call of calls) {
    if (!isChange(call)) continue;
    const made = byFingerprint.get(fingerprintOfCall(call)) ?? [];
    if (made.length > 1) {
      found.push({
        what: 'a call takes effect once',
        detail: `call ${call.number} (${call.kind}) made ${made.length} events`,
      });
    }
    if (call.outcome !== 'ok') continue;
    const event = made[0];
    if (event === undefined) {
      found.push({ what: 'ok is committed', detail: `call ${call.number} (${call.kind}) was answered ${call.answer}` });
    } else if (!call.token.some((line) => names(line, event))) {
      const detail = `call ${call.number} made version ${event.version} of ${event.source} ${event.aggregate}; its token has ${JSON.stringify(call.token)}`;
      found.push({ what: 'the token names the version', detail });
    }
  }
  return found;
}

/** Changes that were committed together share a token, with the newest version of each line. */
function names([source, aggregate, version]: CallRecord['token'][number], event: LedgerEntry): boolean {
  return source === event.source && aggregate === event.aggregate && version >= event.version;
}

/** The newest event of an article's views says what all flushes add up to. */
function checkViews({ ledger, flushedViews }: Observed): Finding[] {
  const newest = new Map<string, LedgerEntry>();
  for (const entry of ledger) {
    if (entry.source !== 'view' || (newest.get(entry.aggregate)?.version ?? 0) > entry.version) continue;
    newest.set(entry.aggregate, entry);
  }
  return [...new Set([...newest.keys(), ...flushedViews.keys()])].flatMap((article) => {
    const said = Number(newest.get(article)?.payload.articleViewCount ?? 0);
    const counted = flushedViews.get(article) ?? 0;
    if (said === counted) return [];
    return [
      { what: 'views add up', detail: `article ${article} has ${counted} flushed views; its event says ${said}` },
    ];
  });
}

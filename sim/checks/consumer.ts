import type { FinalState, Happening } from '../history.ts';
import { byAggregate, type Violation } from './violation.ts';

/** Offsets, at each moment that one was kept. `holes`: the topic has offsets without a message (markers, aborted ones). */
export function offsets(history: readonly Happening[], final: FinalState, holes: boolean): Violation[] {
  const found: Violation[] = [];
  const logs = new Map<number, string[]>();
  const decided = new Set<string>();
  const deadPlaces = new Set<string>();
  /** Everything below it is known to be decided: what is decided once stays so. */
  const checkedTo = new Map<number, number>();
  for (const each of history) {
    if (each.kind === 'broker') {
      const log = logs.get(each.partition) ?? [];
      logs.set(each.partition, log);
      log[each.offset] = each.event;
    } else if (each.kind !== 'consumer') {
    } else if (each.op === 'applied' || each.op === 'stale' || each.op === 'parked') {
      decided.add(each.event);
    } else if (each.op === 'dead') {
      deadPlaces.add(`${each.partition} ${each.offset}`);
    } else if (each.op === 'offset') {
      const { partition, offset, store } = each;
      const log = logs.get(partition) ?? [];
      for (let at = checkedTo.get(partition) ?? 0; at < offset; at++) {
        const event = log[at];
        if (event !== undefined && (decided.has(event) || deadPlaces.has(`${partition} ${at}`))) continue;
        if (event === undefined && holes) continue;
        const what = event === undefined ? 'nothing' : event;
        const detail = `offset ${offset} of partition ${partition} was kept in ${store}, but at ${at} there is ${what}, undecided`;
        found.push({ invariant: 'offsets are safe', detail, partition });
      }
      checkedTo.set(partition, Math.max(checkedTo.get(partition) ?? 0, offset));
    }
  }
  for (const { partition, stored, end } of final.positions) {
    if (stored <= end) continue;
    const detail = `the stored offset ${stored} of partition ${partition} is beyond its end ${end}`;
    found.push({ invariant: 'offsets are safe', detail, partition });
  }
  return found;
}

/** What took effect: only what was committed, once, and in order for each consumer and aggregate. */
export function effects({ effects, ledger, skipped }: FinalState, mode: 'state' | 'sequence'): Violation[] {
  const found: Violation[] = [];
  const without = new Set(skipped);
  const passedBy = new Set(
    ledger.filter(({ event }) => without.has(event)).map(({ aggregate, version }) => `${aggregate} ${version}`),
  );
  const committed = new Set(ledger.map(({ event }) => event));
  const seen = new Set<string>();
  const last = new Map<string, number>();
  for (const { event, aggregate, version, consumer = '' } of effects) {
    if (!committed.has(event)) {
      found.push({ invariant: 'no phantom', detail: `${event} took effect and was never committed`, aggregate });
    }
    const here = consumer === '' ? '' : ` in ${consumer}`;
    const effect = consumer === '' ? event : `${consumer} ${event}`;
    if (seen.has(effect)) {
      const detail = `version ${version} of ${aggregate} (${event}) took effect twice${here}`;
      found.push({ invariant: 'once', detail, aggregate });
      continue;
    }
    seen.add(effect);
    const line = `${consumer} ${aggregate}`;
    let before = last.get(line) ?? 0;
    while (before < version - 1 && passedBy.has(`${aggregate} ${before + 1}`)) before++;
    if (mode === 'sequence' ? version !== before + 1 : version <= before) {
      const detail = `version ${version} of ${aggregate} took effect after version ${before}${here}`;
      found.push({ invariant: 'order', detail, aggregate });
    }
    last.set(line, version);
  }
  return found;
}

export function watermarks(history: readonly Happening[]): Violation[] {
  const found: Violation[] = [];
  const last = new Map<string, number>();
  for (const each of history) {
    if (each.kind !== 'consumer' || each.op !== 'watermark') continue;
    const { aggregate, version } = each;
    const before = last.get(aggregate) ?? 0;
    if (version < before) {
      const detail = `the watermark of ${aggregate} went from ${before} back to ${version}`;
      found.push({ invariant: 'versions are monotone', detail, aggregate });
    }
    last.set(aggregate, version);
  }
  return found;
}

/** Projections beside what the effects and the ledger add up to, and Redis beside a rebuild. */
export function projections(final: FinalState, mode: 'state' | 'sequence'): Violation[] {
  const found: Violation[] = [];
  const rows = new Map(final.projection?.map((row) => [row.aggregate, row]));
  const given = new Set([...final.deadLetters, ...(final.withheld ?? []), ...(final.skipped ?? [])]);
  const applied = byAggregate(final.effects);
  const waits = final.unsent.length > 0 || final.positions.some(({ stored, end }) => stored < end);
  for (const [aggregate, ledger] of final.projection ? byAggregate(final.ledger) : []) {
    const row = rows.get(aggregate) ?? { version: 0, applied: 0, sum: 0 };
    const effects = applied.get(aggregate) ?? [];
    const counted = { applied: effects.length, sum: effects.reduce((sum, { version }) => sum + version, 0) };
    if (row.applied !== counted.applied || row.sum !== counted.sum) {
      const detail = `${aggregate} has ${row.applied} changes with a sum of ${row.sum}; counted anew: ${counted.applied}, ${counted.sum}`;
      found.push({ invariant: 'projection equals recount', detail, aggregate });
    }
    const took = new Set(effects.map(({ event }) => event));
    const newest = Math.max(
      0,
      ...ledger.filter(({ event }) => took.has(event) || !given.has(event)).map(({ version }) => version),
    );
    if (waits || (mode === 'sequence' && final.parked.length > 0) || row.version === newest) continue;
    const detail = `${aggregate} shows version ${row.version}; the newest is ${newest}`;
    found.push({ invariant: 'projection equals recount', detail, aggregate });
  }
  for (const [invariant, pairs] of [
    ['projection equals recount', final.recounts ?? []],
    ['redis equals rebuild', final.redis ?? []],
  ] as const) {
    for (const { name, shown, counted } of pairs) {
      const [is, should] = [JSON.stringify(shown), JSON.stringify(counted)];
      if (is === should) continue;
      found.push({ invariant, detail: `${name} is ${is}; counted anew: ${should}`, aggregate: name });
    }
  }
  return found;
}

import type { FinalState, Happening, LedgerRow } from './history.ts';

/** What must hold, whatever has died. Each has hand-made bad histories in `checker.unit.spec.ts`. */
export const invariants = {
  'no loss': 'each committed event is in the topic, and applied, stale, parked or a dead letter',
  'no phantom': 'nothing is sent, stored or applied that was not committed',
  'known outcome': 'what a client was told is true: ok is committed, fail is not',
  once: 'no event has two effects',
  order: 'the effects of an aggregate are in the order of its versions; 1, 2, 3 … in a sequence consumer',
  'order in the topic': 'each version of an aggregate appears in the topic only after those before it',
  'marks are acknowledged': 'a row is deleted only by who got its acknowledgement',
  'offsets are safe': 'everything below a stored or committed offset is decided for good',
  'versions are monotone': 'committed versions are 1, 2, 3 …, and no watermark ever goes back',
  'projection equals recount': 'what was summed up in transactions is what the effects and the ledger add up to',
  'one holder': 'each term of a bucket has one holder, terms grow, and no older term sends once a newer one began',
  progress: 'after the last fault everything is sent, read and applied',
  'not empty': 'enough changes were made, faults really happened, and few outcomes are unknown',
} as const;

export type Invariant = keyof typeof invariants;

export interface Violation {
  invariant: Invariant;
  /** What is wrong, in words. */
  detail: string;
  aggregate?: string;
  bucket?: number;
  partition?: number;
}

export interface CheckOptions {
  mode: 'state' | 'sequence';
  /** The run is empty with fewer changes or faults that did something, or a larger share of unknown outcomes. */
  minimumOk: number;
  minimumFaults: number;
  maximumInfoShare: number;
}

/** Checks a history with what is left at its end. Pure. Answers every violation, the first of each kind first. */
export function check(history: readonly Happening[], final: FinalState, options: CheckOptions): Violation[] {
  return [
    ...ledgerAndClients(history, final),
    ...topic(history, final),
    ...terms(history),
    ...offsets(history, final),
    ...effects(final, options),
    ...watermarks(history),
    ...losses(history, final),
    ...projection(final, options),
    ...progress(final),
    ...emptiness(history, options),
  ];
}

function ledgerAndClients(history: readonly Happening[], { ledger }: FinalState): Violation[] {
  const found: Violation[] = [];
  for (const [aggregate, rows] of byAggregate(ledger)) {
    const versions = rows.map(({ version }) => version).sort((a, b) => a - b);
    const wrong = versions.findIndex((version, index) => version !== index + 1);
    if (wrong >= 0) {
      const detail = `the committed versions of ${aggregate} go ${versions.slice(0, wrong + 1).join(', ')}`;
      found.push({ invariant: 'versions are monotone', detail, aggregate });
    }
  }
  const committed = new Set(ledger.map(({ event }) => event));
  for (const each of history) {
    if (each.kind !== 'client' || each.op === 'invoke' || each.op === 'info') continue;
    const isCommitted = each.event !== undefined && committed.has(each.event);
    if (isCommitted === (each.op === 'ok')) continue;
    const detail = `call ${each.call} was answered ${each.op}, and its change is ${isCommitted ? '' : 'not '}in the database`;
    found.push({ invariant: 'known outcome', detail, aggregate: each.aggregate });
  }
  return found;
}

function topic(history: readonly Happening[], { ledger }: FinalState): Violation[] {
  const found: Violation[] = [];
  const committed = new Set(ledger.map(({ event }) => event));
  const last = new Map<string, number>();
  const acknowledged = new Set<string>();
  for (const each of history) {
    if (each.kind === 'broker') {
      const { aggregate, version, event } = each;
      if (!committed.has(event)) {
        found.push({ invariant: 'no phantom', detail: `${event} is in the topic and was never committed`, aggregate });
      }
      if (each.foreign) continue;
      const before = last.get(aggregate) ?? 0;
      if (version > before + 1) {
        const detail = `version ${version} of ${aggregate} came into the topic after version ${before}`;
        found.push({ invariant: 'order in the topic', detail, aggregate });
      }
      last.set(aggregate, Math.max(before, version));
    } else if (each.kind === 'relay' && each.op === 'ack') {
      for (const event of each.events) acknowledged.add(`${each.process} ${event}`);
    } else if (each.kind === 'relay' && each.op === 'mark') {
      for (const event of each.events) {
        if (acknowledged.has(`${each.process} ${event}`)) continue;
        const detail = `${each.process} deleted ${event} without an acknowledgement for it`;
        found.push({ invariant: 'marks are acknowledged', detail, bucket: each.bucket });
      }
    }
  }
  return found;
}

function terms(history: readonly Happening[]): Violation[] {
  const found: Violation[] = [];
  const current = new Map<number, { epoch: number; process: string }>();
  for (const each of history) {
    if (each.kind !== 'relay' || each.op === 'mark' || each.op === 'ack') continue;
    const { bucket, epoch, process } = each;
    const known = current.get(bucket);
    const bad = (detail: string) => found.push({ invariant: 'one holder', detail, bucket });
    if (each.op === 'elected') {
      if (known && epoch <= known.epoch) {
        bad(
          `${process} was elected for bucket ${bucket} in term ${epoch} after ${known.process} in term ${known.epoch}`,
        );
      }
      current.set(bucket, { epoch, process });
    } else if (!known || known.epoch !== epoch || known.process !== process) {
      const who = known ? `${known.process} has it in term ${known.epoch}` : 'nobody was elected';
      bad(`${process} sent for bucket ${bucket} in term ${epoch}, while ${who}`);
    }
  }
  return found;
}

function offsets(history: readonly Happening[], final: FinalState): Violation[] {
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
        const what = event === undefined ? 'nothing' : event;
        const detail = `offset ${offset} of partition ${partition} was kept in ${store}, but at ${at} there is ${what}, undecided`;
        found.push({ invariant: 'offsets are safe', detail, partition });
      }
      checkedTo.set(partition, Math.max(checkedTo.get(partition) ?? 0, offset));
    }
  }
  for (const { partition, stored, end } of final.positions) {
    if (stored > end) {
      const detail = `the stored offset ${stored} of partition ${partition} is beyond its end ${end}`;
      found.push({ invariant: 'offsets are safe', detail, partition });
    }
  }
  return found;
}

function effects({ effects, ledger }: FinalState, { mode }: CheckOptions): Violation[] {
  const found: Violation[] = [];
  const committed = new Set(ledger.map(({ event }) => event));
  const seen = new Set<string>();
  const last = new Map<string, number>();
  for (const { event, aggregate, version } of effects) {
    if (!committed.has(event)) {
      found.push({ invariant: 'no phantom', detail: `${event} took effect and was never committed`, aggregate });
    }
    if (seen.has(event)) {
      const detail = `version ${version} of ${aggregate} (${event}) took effect twice`;
      found.push({ invariant: 'once', detail, aggregate });
      continue;
    }
    seen.add(event);
    const before = last.get(aggregate) ?? 0;
    if (mode === 'sequence' ? version !== before + 1 : version <= before) {
      const detail = `version ${version} of ${aggregate} took effect after version ${before}`;
      found.push({ invariant: 'order', detail, aggregate });
    }
    last.set(aggregate, version);
  }
  return found;
}

function watermarks(history: readonly Happening[]): Violation[] {
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

function losses(history: readonly Happening[], final: FinalState): Violation[] {
  const found: Violation[] = [];
  const inTopic = new Set<string>();
  const stale = new Set<string>();
  for (const each of history) {
    if (each.kind === 'broker') inTopic.add(each.event);
    if (each.kind === 'consumer' && each.op === 'stale') stale.add(each.event);
  }
  const unsent = new Set(final.unsent);
  const behind = new Set([...final.effects.map(({ event }) => event), ...stale, ...final.parked, ...final.deadLetters]);
  const notRead = final.positions.some(({ stored, end }) => stored < end);
  for (const { event, aggregate, version } of final.ledger) {
    const name = `version ${version} of ${aggregate} (${event})`;
    if (!inTopic.has(event)) {
      if (unsent.has(event)) continue;
      found.push({ invariant: 'no loss', detail: `${name} is neither in the topic nor waits to be sent`, aggregate });
    } else if (!behind.has(event) && !notRead) {
      found.push({ invariant: 'no loss', detail: `${name} was read and has left no trace`, aggregate });
    }
  }
  return found;
}

function projection(final: FinalState, { mode }: CheckOptions): Violation[] {
  const found: Violation[] = [];
  const rows = new Map(final.projection.map((row) => [row.aggregate, row]));
  const dead = new Set(final.deadLetters);
  const applied = byAggregate(final.effects);
  for (const [aggregate, ledger] of byAggregate(final.ledger)) {
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
      ...ledger.filter(({ event }) => took.has(event) || !dead.has(event)).map(({ version }) => version),
    );
    const waits = final.unsent.length > 0 || final.positions.some(({ stored, end }) => stored < end);
    if (waits || (mode === 'sequence' && final.parked.length > 0) || row.version === newest) continue;
    const detail = `${aggregate} shows version ${row.version}; the newest is ${newest}`;
    found.push({ invariant: 'projection equals recount', detail, aggregate });
  }
  return found;
}

function progress(final: FinalState): Violation[] {
  const found: Violation[] = [];
  const bad = (detail: string, partition?: number) => found.push({ invariant: 'progress', detail, partition });
  if (final.unsent.length > 0) bad(`${final.unsent.length} events still wait to be sent`);
  if (final.parked.length > 0) bad(`${final.parked.length} events still wait parked`);
  for (const { partition, stored, end } of final.positions) {
    if (stored < end) bad(`partition ${partition} is read up to ${stored} of ${end}`, partition);
  }
  return found;
}

function emptiness(history: readonly Happening[], options: CheckOptions): Violation[] {
  const count = (op: string) => history.filter((each) => each.kind === 'client' && each.op === op).length;
  const ok = count('ok');
  const info = count('info');
  const faults = history.filter((each) => each.kind === 'fault' && each.op === 'end' && (each.hits ?? 0) > 0).length;
  const found: Violation[] = [];
  const bad = (detail: string) => found.push({ invariant: 'not empty', detail });
  if (ok < options.minimumOk) bad(`${ok} changes were made; at least ${options.minimumOk} are wanted`);
  if (faults < options.minimumFaults)
    bad(`${faults} faults did something; at least ${options.minimumFaults} are wanted`);
  if (info > options.maximumInfoShare * (ok + info)) bad(`the outcome of ${info} of ${ok + info} changes is unknown`);
  return found;
}

function byAggregate(rows: readonly LedgerRow[]): Map<string, LedgerRow[]> {
  const groups = new Map<string, LedgerRow[]>();
  for (const row of rows) {
    const group = groups.get(row.aggregate);
    if (group) group.push(row);
    else groups.set(row.aggregate, [row]);
  }
  return groups;
}

import type { Violation } from './checker.ts';
import { invariants } from './checker.ts';
import type { Happening } from './history.ts';
import type { Plan } from './plan.ts';
import type { Outcome } from './run.ts';

const mostLines = 40;

/** A failed run in words: what was broken, and what happened to the aggregate, bucket or partition concerned. */
export function story(plan: Plan, { violations, history }: Outcome): string {
  const [violation] = violations;
  if (!violation) return 'Nothing went wrong.';
  const events = eventsOf(history);
  const lines = history
    .filter((each) => concerns(each, violation, events))
    .map((each) => `  at ${(each.atMs / 1000).toFixed(3)} s ${inWords(each, violation, events)}`);
  const left = Math.max(0, lines.length - mostLines);
  return [
    `Broken: ${violation.invariant} (${invariants[violation.invariant]}).`,
    `  ${violation.detail}${violations.length > 1 ? ` (and ${violations.length - 1} more)` : ''}`,
    `Seed ${plan.seed}, ${plan.mode} consumer, ${plan.changes.length} changes, ${plan.faults.length} faults:`,
    ...plan.faults.map(({ kind, step, phase, atMs }) => {
      const where = step === null ? '' : `, ${phase === 'asked' ? 'before' : 'after'} ${step}`;
      return `  ${kind}${where}, from ${(atMs / 1000).toFixed(3)} s on`;
    }),
    'What happened:',
    ...(left > 0 ? [`  (${left} lines left out)`] : []),
    ...lines.slice(-mostLines),
  ].join('\n');
}

/** The name of each event, as version and aggregate. */
function eventsOf(history: readonly Happening[]): Map<string, { aggregate: string; version: number }> {
  const events = new Map<string, { aggregate: string; version: number }>();
  for (const each of history) {
    if ((each.kind === 'broker' || each.kind === 'client') && each.event && each.version !== undefined) {
      events.set(each.event, { aggregate: each.aggregate, version: each.version });
    }
  }
  return events;
}

function concerns(each: Happening, violation: Violation, events: ReturnType<typeof eventsOf>): boolean {
  const { aggregate, bucket, partition } = violation;
  if (each.kind === 'fault') return true;
  if (each.kind === 'health') return false;
  if (each.kind === 'fence') return each.bucket === bucket;
  if (each.kind === 'client') return each.op !== 'invoke' && each.aggregate === aggregate;
  if (each.kind === 'broker') return each.aggregate === aggregate || each.partition === partition;
  if (each.kind === 'relay') {
    if (each.bucket === bucket) return true;
    return each.op !== 'elected' && each.events.some((event) => events.get(event)?.aggregate === aggregate);
  }
  if (each.op === 'receive' || each.op === 'offset') return each.partition === partition;
  if (each.op === 'dead') return each.event !== null && events.get(each.event)?.aggregate === aggregate;
  return each.aggregate === aggregate;
}

function inWords(each: Happening, { aggregate }: Violation, events: ReturnType<typeof eventsOf>): string {
  const named = (event: string) => {
    const known = events.get(event);
    return known ? `version ${known.version} of ${known.aggregate}` : event;
  };
  const several = (list: readonly string[]) => {
    const mine = list.filter((event) => aggregate === undefined || events.get(event)?.aggregate === aggregate);
    return mine.map(named).join(', ');
  };
  switch (each.kind) {
    case 'fault':
      return each.op === 'start' ? `begins: ${each.fault}` : `ends: ${each.fault} (did something ${each.hits} times)`;
    case 'fence':
      return `the broker knows term ${each.epoch} of bucket ${each.bucket}`;
    case 'health':
      return `${each.healthy} of ${each.of} of ${each.part} work`;
    case 'client':
      return `a client's change is answered ${each.op}${each.event ? ` (${named(each.event)})` : ''}`;
    case 'broker':
      return `${named(each.event)} is stored at ${each.partition}/${each.offset}${each.foreign ? ', out of turn' : ''}`;
    case 'relay':
      if (each.op === 'elected') return `${each.process} has bucket ${each.bucket} in term ${each.epoch}`;
      if (each.op === 'mark' || each.op === 'deleted')
        return `${each.process} deletes the rows of ${several(each.events)}`;
      return `${each.process} ${each.op === 'send' ? 'sends' : 'has an acknowledgement for'} ${several(each.events)}`;
    default:
      return consumerInWords(each, named);
  }
}

function consumerInWords(each: Extract<Happening, { kind: 'consumer' }>, named: (event: string) => string): string {
  switch (each.op) {
    case 'receive':
      return `${each.process} receives ${each.from} to ${each.to} of partition ${each.partition}`;
    case 'offset':
      return `${each.process} keeps offset ${each.offset} of partition ${each.partition} in ${each.store}`;
    case 'watermark':
      return `${each.process} moves the watermark of ${each.aggregate} to ${each.version}`;
    case 'dead':
      return `${each.process} puts ${each.event ? named(each.event) : 'a message'} among the dead letters`;
    default:
      return `${each.process} has committed ${named(each.event)} as ${each.op}`;
  }
}

import { effects, offsets, projections, watermarks } from './checks/consumer.ts';
import { ledgerAndClients } from './checks/ledger.ts';
import { drained, losses, windows } from './checks/progress.ts';
import { terms, topic } from './checks/topic.ts';
import type { Violation } from './checks/violation.ts';
import type { FinalState, Happening } from './history.ts';

export type { Violation } from './checks/violation.ts';
export { type Invariant, invariants } from './invariants.ts';

export interface CheckOptions {
  mode: 'state' | 'sequence';
  /** With `exactly-once` each event is in the topic once. Default: at-least-once. */
  delivery?: 'at-least-once' | 'exactly-once';
  /** The topic has offsets without messages: markers and aborted transactions. Default: with exactly-once. */
  topicHoles?: boolean;
  /** While most replicas of each part work, waiting events and partitions move within so long. Default: only the end counts. */
  progressMs?: number;
  /** The run is empty with fewer changes or faults that did something, or a larger share of unknown outcomes. */
  minimumOk: number;
  minimumFaults: number;
  /** 0.05 in the words. */
  maximumInfoShare: number;
  /** Each fault that was started must have done something. */
  everyFaultFires?: boolean;
}

/** Checks a history with what is left at its end. Pure. Answers every violation, grouped by invariant. */
export function check(history: readonly Happening[], final: FinalState, options: CheckOptions): Violation[] {
  const exactlyOnce = options.delivery === 'exactly-once';
  return [
    ...ledgerAndClients(history, final),
    ...topic(history, final, exactlyOnce),
    ...terms(history),
    ...offsets(history, final, options.topicHoles ?? exactlyOnce),
    ...effects(final, options.mode),
    ...watermarks(history),
    ...losses(history, final),
    ...projections(final, options.mode),
    ...drained(final),
    ...(options.progressMs === undefined ? [] : windows(history, final, options.progressMs)),
    ...emptiness(history, options),
  ];
}

function emptiness(history: readonly Happening[], options: CheckOptions): Violation[] {
  let ok = 0;
  let info = 0;
  let faults = 0;
  const idle: string[] = [];
  for (const each of history) {
    if (each.kind === 'client' && each.op === 'ok') ok++;
    if (each.kind === 'client' && each.op === 'info') info++;
    if (each.kind !== 'fault' || each.op !== 'end') continue;
    if ((each.hits ?? 0) > 0) faults++;
    else idle.push(each.fault);
  }
  const found: Violation[] = [];
  const bad = (detail: string) => found.push({ invariant: 'not empty', detail });
  if (ok < options.minimumOk) bad(`${ok} changes were made; at least ${options.minimumOk} are wanted`);
  if (faults < options.minimumFaults)
    bad(`${faults} faults did something; at least ${options.minimumFaults} are wanted`);
  if (options.everyFaultFires) for (const fault of idle) bad(`the fault "${fault}" did nothing`);
  if (info > options.maximumInfoShare * (ok + info)) bad(`the outcome of ${info} of ${ok + info} changes is unknown`);
  return found;
}

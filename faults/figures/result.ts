import type { Plan } from '../plan.ts';
import type { Finding } from '../verify/own-checks.ts';
import type { EffectCounts } from './effects.ts';
import { holds, type Limit } from './moments.ts';
import type { Impact, Sample } from './series.ts';

/** One slot as it went. */
export interface SlotResult extends Impact, EffectCounts {
  number: number;
  title: string;
  startedMs: number;
  /** When all that was broken was whole again. */
  healedMs: number;
  endedMs: number;
  hits: number;
  seen: string[];
  /** Calls that were made in this slot: answered, failed for sure, and without a known outcome. */
  ok: number;
  failed: number;
  unknown: number;
  /** Load average of the machine at the beginning. */
  machineLoad: number;
  /** No call may fail or stay unknown here. */
  noFailureAllowed: boolean;
}

/** One board from its start to its checked end. */
export interface StageResult {
  kafkaNodes: number;
  startedMs: number;
  slots: SlotResult[];
  samples: Sample[];
  findings: Finding[];
  callsPerSecond: number;
  /** Over the baseline: what a healthy board does at this rate here. */
  baseline: { okPerSecond: number; shownMs: number; lag: number };
  skippedCalls: number;
}

export interface RunResult {
  plan: Pick<Plan, 'mode' | 'seed' | 'minimumOk' | 'maximumInfoShare'>;
  /** By how much the limits are longer than what is promised. */
  deadlineFactor: number;
  tookMs: number;
  machine: string;
  /** Changes that clients made, by what they were told. */
  ok: number;
  failed: number;
  unknown: number;
  stages: StageResult[];
  limits: Limit[];
}

/** Everything that is wrong with a run, in words; empty: it is green. Pure. */
export function faultsOf(run: RunResult): string[] {
  const wrong: string[] = [];
  for (const { kafkaNodes, slots, findings } of run.stages) {
    const where = kafkaNodes > 1 ? `, ${kafkaNodes} brokers` : '';
    for (const slot of slots) {
      const name = `slot ${slot.number} (${slot.title}${where})`;
      if (slot.hits === 0) wrong.push(`${name}: the fault did nothing`);
      if (slot.recoverMs === null) wrong.push(`${name}: did not recover within its slot`);
      if (slot.noFailureAllowed && slot.failed + slot.unknown > 0) {
        wrong.push(`${name}: ${slot.failed} calls failed and ${slot.unknown} stayed unknown, none may`);
      }
      if (slot.lost + slot.duplicated + slot.outOfOrder > 0) {
        wrong.push(`${name}: ${slot.lost} lost, ${slot.duplicated} duplicated, ${slot.outOfOrder} out of order`);
      }
    }
    for (const { what, detail } of findings) wrong.push(`${what}${where}: ${detail}`);
  }
  for (const limit of run.limits) {
    if (holds(limit)) continue;
    const longest =
      limit.valuesMs.length === 0 ? 'never measured' : `longest ${Math.round(Math.max(...limit.valuesMs))} ms`;
    const few =
      limit.valuesMs.length < limit.needed ? `, measured ${limit.valuesMs.length} of ${limit.needed} times` : '';
    wrong.push(`${limit.title}: ${longest}${few}; at most ${limit.limitMs} ms`);
  }
  const { minimumOk, maximumInfoShare } = run.plan;
  if (run.ok < minimumOk) wrong.push(`${run.ok} changes were made, at least ${minimumOk} are wanted`);
  if (run.unknown > maximumInfoShare * (run.ok + run.unknown)) {
    wrong.push(
      `the outcome of ${run.unknown} of ${run.ok + run.unknown} changes is unknown, at most ${maximumInfoShare * 100} % may`,
    );
  }
  return wrong;
}

import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { boardSources } from '../events/board.ts';
import { effectCounts } from './figures/effects.ts';
import { limitsOf, type Measured, timesOf } from './figures/moments.ts';
import type { RunResult, SlotResult, StageResult } from './figures/result.ts';
import { boundsOf, impactOf, seriesOf } from './figures/series.ts';
import { hasFailed, isChange } from './load/calls.ts';
import { neededOf, type Plan, type Stage } from './plan.ts';
import { markdownOf } from './report/markdown.ts';
import { pageOf } from './report/page.ts';
import { runStage, type StageRun } from './stage.ts';
import { consumers, finalStateOf, historyOf } from './verify/histories.ts';
import { verify } from './verify/verify.ts';

const stepMs = 250;
const leaseMs = 5_000;

export interface RunOptions {
  folder: string;
  say(text: string): void;
  /** See `Options`. */
  deadlineFactor: number;
}

/** Runs a plan, checks what is left, and writes histories and reports into a folder. */
export async function run(plan: Plan, { folder, say, deadlineFactor }: RunOptions): Promise<RunResult> {
  const beganMs = Date.now();
  mkdirSync(folder, { recursive: true });
  const stages: StageResult[] = [];
  const measured: Measured[] = [];
  const counts = { ok: 0, failed: 0, unknown: 0 };
  for (const [index, stage] of plan.stages.entries()) {
    const stageFolder = join(folder, `board-${index + 1}`);
    const options = { stage, seed: plan.seed * 10 + index, folder: stageFolder, say, deadlineFactor };
    const done = await runStage(options).catch((error: Error) => error);
    if (done instanceof Error) {
      // what the boards before it have shown is not lost
      say(`the board of ${stage.kafkaNodes} brokers broke down: ${done.stack}`);
      stages.push(brokenStage(stage, done));
      continue;
    }
    say('checking');
    const events = timesOf(done.evidence.observed, consumers);
    measured.push({ moments: done.moments, events, leases: done.evidence.observed.leases });
    stages.push(stageResult(done, events, deadlineFactor));
    for (const call of done.calls) {
      if (!isChange(call)) continue;
      if (call.outcome === 'ok') counts.ok++;
      else if (hasFailed(call)) counts[call.outcome === 'info' ? 'unknown' : 'failed']++;
    }
    writeHistories(done, stageFolder);
    // after each board: a long run that is cut off has shown something
    writeReports(folder, resultSoFar());
  }
  const result = resultSoFar();
  writeReports(folder, result);
  return result;

  function resultSoFar(): RunResult {
    const { mode, seed, minimumOk, maximumInfoShare } = plan;
    return {
      plan: { mode, seed, minimumOk, maximumInfoShare },
      deadlineFactor,
      tookMs: Date.now() - beganMs,
      machine: `${cpus().length} cores (${process.platform} ${process.arch})`,
      ...counts,
      stages,
      limits: limitsOf(measured, { leaseMs, needed: neededOf(plan), deadlineFactor }),
    };
  }
}

function writeReports(folder: string, result: RunResult): void {
  writeFileSync(join(folder, 'report.md'), markdownOf(result));
  writeFileSync(join(folder, 'report.html'), pageOf(result));
}

function stageResult(done: StageRun, events: Measured['events'], deadlineFactor: number): StageResult {
  const { evidence, slots, calls } = done;
  const times = calls.map((call) => ({
    answeredMs: call.answeredMs,
    ok: call.outcome === 'ok',
    failed: hasFailed(call),
  }));
  const samples = seriesOf(events, times, { fromMs: done.startedMs, toMs: done.endedMs, stepMs });
  const baseline = samples.filter(({ atMs }) => atMs <= done.baselineEndMs);
  const bounds = boundsOf(baseline);
  const spans = slots.map(({ startedMs, endedMs }, index) => ({
    fromMs: startedMs,
    toMs: slots[index + 1]?.startedMs ?? endedMs,
  }));
  const effects = effectCounts(evidence.observed, 'auditor', spans);
  const waits = events
    .filter(({ committedMs }) => committedMs >= done.startedMs && committedMs < done.baselineEndMs)
    .map(({ committedMs, appliedMs }) => (appliedMs ?? Number.POSITIVE_INFINITY) - committedMs)
    .sort((a, b) => a - b);
  return {
    kafkaNodes: done.stage.kafkaNodes,
    callsPerSecond: done.stage.callsPerSecond,
    startedMs: done.startedMs,
    slots: slots.map(({ slot, ...run }, index): SlotResult => {
      const inSlot = calls.filter(({ invokedMs }) => invokedMs >= run.startedMs && invokedMs < run.endedMs);
      const failed = inSlot.filter(hasFailed);
      const unknown = failed.filter(({ outcome }) => outcome === 'info').length;
      return {
        ...run,
        number: slot.number,
        ...impactOf(samples, bounds, { fromMs: run.startedMs, toMs: run.endedMs }),
        ...effects[index]!,
        ok: inSlot.length - failed.length,
        failed: failed.length - unknown,
        unknown,
        noFailureAllowed: slot.kinds.length === 1 && slot.kinds[0] === 'rolling-restart',
      };
    }),
    samples,
    findings: verify(evidence, deadlineFactor),
    baseline: {
      okPerSecond: baseline.reduce((sum, { okPerSecond }) => sum + okPerSecond, 0) / Math.max(1, baseline.length),
      shownMs: waits[Math.floor(waits.length / 2)] ?? 0,
      lag: Math.max(0, ...baseline.map(({ lag }) => lag)),
    },
    skippedCalls: done.skippedCalls,
  };
}

function brokenStage({ kafkaNodes, callsPerSecond }: Stage, { message }: Error): StageResult {
  const baseline = { okPerSecond: 0, shownMs: 0, lag: 0 };
  const findings = [{ what: 'the run broke down', detail: message }];
  return { kafkaNodes, callsPerSecond, startedMs: 0, slots: [], samples: [], findings, baseline, skippedCalls: 0 };
}

/** A line for each happening, by process, as the checker had them; and what was left. */
function writeHistories({ evidence }: StageRun, folder: string): void {
  for (const consumer of consumers) {
    for (const source of boardSources) {
      const files = new Map<string, string[]>();
      for (const happening of historyOf(evidence, source, consumer)) {
        const lines = files.get(happening.process) ?? [];
        files.set(happening.process, lines);
        lines.push(JSON.stringify(happening));
      }
      const place = join(folder, 'checked', consumer, source);
      mkdirSync(place, { recursive: true });
      for (const [process, lines] of files) writeFileSync(join(place, `${process}.jsonl`), `${lines.join('\n')}\n`);
      writeFileSync(join(place, 'final.json'), JSON.stringify(finalStateOf(evidence, source, consumer)));
    }
  }
}

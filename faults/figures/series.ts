/** Times of one event, wall clock ms; null: it never came to that. */
export interface EventTimes {
  committedMs: number;
  sentMs: number | null;
  appliedMs: number | null;
}

/** `failed`: neither done nor refused by a rule of the board. */
export interface CallTime {
  answeredMs: number;
  ok: boolean;
  failed: boolean;
}

/** One moment of a run. */
export interface Sample {
  atMs: number;
  /** Calls answered well in the step up to here, by second. */
  okPerSecond: number;
  /** Calls that failed in that step. */
  notOk: number;
  /** Events that are committed and not sent, and the age of the oldest. */
  backlog: number;
  oldestUnsentMs: number;
  /** Events that are committed and not applied, and the age of the oldest. */
  lag: number;
  oldestUnappliedMs: number;
}

/** What throughput, backlog and lag were at each step of a run, computed from when things happened. Pure. */
export function seriesOf(
  events: readonly EventTimes[],
  calls: readonly CallTime[],
  { fromMs, toMs, stepMs }: { fromMs: number; toMs: number; stepMs: number },
): Sample[] {
  const steps = Math.max(0, Math.floor((toMs - fromMs) / stepMs));
  const unsent = waiting(events, ({ sentMs }) => sentMs, fromMs, stepMs, steps);
  const unapplied = waiting(events, ({ appliedMs }) => appliedMs, fromMs, stepMs, steps);
  const ok = new Array<number>(steps).fill(0);
  const notOk = new Array<number>(steps).fill(0);
  for (const call of calls) {
    const step = Math.ceil((call.answeredMs - fromMs) / stepMs) - 1;
    if (step < 0 || step >= steps) continue;
    if (call.ok) ok[step]!++;
    if (call.failed) notOk[step]!++;
  }
  return Array.from({ length: steps }, (_, index) => ({
    atMs: fromMs + (index + 1) * stepMs,
    okPerSecond: (ok[index]! * 1000) / stepMs,
    notOk: notOk[index]!,
    backlog: unsent[index]!.count,
    oldestUnsentMs: unsent[index]!.oldestMs,
    lag: unapplied[index]!.count,
    oldestUnappliedMs: unapplied[index]!.oldestMs,
  }));
}

/** How many events wait at each step, and for how long the oldest does. */
function waiting(
  events: readonly EventTimes[],
  until: (event: EventTimes) => number | null,
  fromMs: number,
  stepMs: number,
  steps: number,
): { count: number; oldestMs: number }[] {
  const answer = Array.from({ length: steps }, () => ({ count: 0, oldestMs: 0 }));
  for (const event of events) {
    const end = until(event) ?? Number.POSITIVE_INFINITY;
    const first = Math.max(0, Math.ceil((event.committedMs - fromMs) / stepMs) - 1);
    for (let index = first; index < steps; index++) {
      const atMs = fromMs + (index + 1) * stepMs;
      if (atMs >= end) break;
      if (atMs < event.committedMs) continue;
      const sample = answer[index]!;
      sample.count++;
      sample.oldestMs = Math.max(sample.oldestMs, atMs - event.committedMs);
    }
  }
  return answer;
}

/** On a machine that others use, pauses of this length are nobody's fault. */
const floorMs = 2_000;

/** What a healthy board stays within, learnt from its baseline. */
export interface Bounds {
  oldestUnsentMs: number;
  oldestUnappliedMs: number;
  okPerSecond: number;
}

export function boundsOf(baseline: readonly Sample[]): Bounds {
  const highest = (of: (sample: Sample) => number) => quantile(baseline.map(of), 0.98);
  const mean = baseline.reduce((sum, { okPerSecond }) => sum + okPerSecond, 0) / Math.max(1, baseline.length);
  return {
    oldestUnsentMs: boundOf(highest(({ oldestUnsentMs }) => oldestUnsentMs)),
    oldestUnappliedMs: boundOf(highest(({ oldestUnappliedMs }) => oldestUnappliedMs)),
    okPerSecond: mean / 3,
  };
}

/** How long something may take that took at most so long in the baseline (all but two in a hundred). */
export function boundOf(highestMs: number): number {
  return Math.max(floorMs, 1.5 * highestMs + 500);
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

/** Whether somebody who watches these figures would say that something is wrong. `around`: the last second, for throughput. */
function disturbed(samples: readonly Sample[], index: number, bounds: Bounds, stepMs: number): boolean {
  const sample = samples[index]!;
  if (sample.oldestUnsentMs > bounds.oldestUnsentMs || sample.oldestUnappliedMs > bounds.oldestUnappliedMs) return true;
  if (sample.notOk > 0) return true;
  const steps = Math.ceil(1500 / stepMs);
  const recent = samples.slice(Math.max(0, index - steps + 1), index + 1);
  return recent.reduce((sum, { okPerSecond }) => sum + okPerSecond, 0) / recent.length < bounds.okPerSecond;
}

export interface Impact {
  /** From the fault's begin until its effect could be seen; null: it never could. */
  detectMs: number | null;
  /** From the fault's begin until all figures were as before and stayed so; 0 where nothing was seen; null: never. */
  recoverMs: number | null;
  /** Events that were committed and not applied, at the worst moment. */
  inFlight: number;
}

/** How long figures have to be good for "stayed so". */
const steadyMs = 3_000;

/** When a fault was noticed and when all was well again, within its slot. Pure. */
export function impactOf(
  samples: readonly Sample[],
  bounds: Bounds,
  { fromMs, toMs }: { fromMs: number; toMs: number },
): Impact {
  const first = samples.findIndex(({ atMs }) => atMs > fromMs);
  let last = first;
  while (last + 1 < samples.length && samples[last + 1]!.atMs <= toMs) last++;
  if (first < 0) return { detectMs: null, recoverMs: 0, inFlight: 0 };
  const stepMs = samples.length > 1 ? samples[1]!.atMs - samples[0]!.atMs : steadyMs;
  let seen = -1;
  let bad = -1;
  let inFlight = 0;
  for (let index = first; index <= last; index++) {
    inFlight = Math.max(inFlight, samples[index]!.lag);
    if (!disturbed(samples, index, bounds, stepMs)) continue;
    if (seen < 0) seen = index;
    bad = index;
  }
  if (seen < 0) return { detectMs: null, recoverMs: 0, inFlight };
  const recovered = samples[bad + 1];
  const stayed = recovered !== undefined && samples[last]!.atMs - samples[bad]!.atMs >= steadyMs - stepMs;
  return {
    detectMs: samples[seen]!.atMs - fromMs,
    recoverMs: stayed ? recovered.atMs - fromMs : null,
    inFlight,
  };
}

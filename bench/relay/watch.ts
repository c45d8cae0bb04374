import { openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';

/** A span on the clock of `nowMs`. */
export interface Span {
  fromMs: number;
  toMs: number;
}

/** What may hold a process up. */
export interface Pauses {
  /** Of the garbage collector. */
  gc: Span[];
  /** From when a timer was due until it ran. */
  late: Span[];
  /** Of the main thread: it could run and had no core, at some time within the span. Empty where the system does not tell. */
  noCore: (Span & { ms: number })[];
}

/** Ms of the clock that all processes of a machine share. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

const pulseMs = 10;
/** Timers that run so late are normal. */
const tolerableMs = 2;

/** Watches this process from now on; the answer has what was seen since the last call. */
export function watchPauses(): () => Pauses {
  let seen: Pauses = { gc: [], late: [], noCore: [] };
  const originMs = nowMs() - performance.now();
  const note = (entries: readonly { startTime: number; duration: number }[]) => {
    for (const { startTime, duration } of entries) {
      seen.gc.push({ fromMs: originMs + startTime, toMs: originMs + startTime + duration });
    }
  };
  const observer = new PerformanceObserver((list) => note(list.getEntries()));
  observer.observe({ entryTypes: ['gc'] });
  const waitedMs = ofMainThread();
  let [beforeMs, waitedBeforeMs] = [nowMs(), waitedMs()];
  const pulse = () => {
    const [atMs, waitedNowMs] = [nowMs(), waitedMs()];
    const dueMs = beforeMs + pulseMs;
    if (atMs - dueMs > tolerableMs) seen.late.push({ fromMs: dueMs, toMs: atMs });
    if (waitedNowMs - waitedBeforeMs > tolerableMs) {
      seen.noCore.push({ fromMs: beforeMs, toMs: atMs, ms: waitedNowMs - waitedBeforeMs });
    }
    [beforeMs, waitedBeforeMs] = [atMs, waitedNowMs];
  };
  setInterval(pulse, pulseMs).unref();
  return () => {
    note(observer.takeRecords());
    const answer = seen;
    seen = { gc: [], late: [], noCore: [] };
    return answer;
  };
}

/** Reads how long the main thread has waited for a core since its start, in ms; 0 where the system does not tell. */
function ofMainThread(): () => number {
  try {
    const file = openSync('/proc/self/schedstat', 'r');
    const text = Buffer.alloc(128);
    return () => Number(text.toString('latin1', 0, readSync(file, text, 0, text.length, 0)).split(' ')[1]) / 1e6;
  } catch {
    return () => 0;
  }
}

/** Ms since its start in which a process ran, and in which threads of it could run and had no core. Null where the system does not tell. */
export interface Use {
  ranMs: number;
  noCoreMs: number;
}

export function useOf(pid: number): Use | null {
  try {
    const threads = readdirSync(`/proc/${pid}/task`).map((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ').map(Number),
    );
    const sum = (at: number) => threads.reduce((total, numbers) => total + numbers[at]! / 1e6, 0);
    return { ranMs: sum(0), noCoreMs: sum(1) };
  } catch {
    return null;
  }
}

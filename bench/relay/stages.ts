import { percentile } from '../bench.ts';
import type { RelayTrace } from './trace.ts';
import type { Pauses, Span } from './watch.ts';

// Where the time from commit to acknowledgement goes, of each event and of the slowest hundredth.

/** An event of the writer. Its nudge is the one with the same place among the relay's nudges. */
export interface Written {
  eventId: string;
  bucket: number;
  /** When the answer to COMMIT came. */
  committedMs: number;
}

export const stages = ['nudge', 'wait for a read', 'read', 'make the batch', 'send'] as const;
export type Stage = (typeof stages)[number];

/** An event from its commit to its acknowledgement: a stage each between two times. */
export interface Path {
  bucket: number;
  committedMs: number;
  acknowledgedMs: number;
  ms: Record<Stage, number>;
  /** When it waited for a read. */
  waited: Span;
}

type Rows = Record<string, string | number>[];

/** Events without an acknowledgement are left out. A read may have had the event before its nudge, or the answer to COMMIT, came. */
export function pathsOf(written: readonly Written[], trace: RelayTrace): Path[] {
  const spanOf = (all: readonly (Span & { eventIds: readonly string[] })[]) =>
    new Map(all.toReversed().flatMap((span) => span.eventIds.map((id) => [id, span] as const)));
  const [reads, sends] = [spanOf(trace.reads), spanOf(trace.sends)];
  return written.flatMap(({ eventId, bucket, committedMs }, place) => {
    const [read, sent] = [reads.get(eventId), sends.get(eventId)];
    if (!read || !sent) return [];
    const times = [trace.nudgedMs[place] ?? read.fromMs, read.fromMs, read.toMs, sent.fromMs, sent.toMs];
    for (let at = times.length - 2; at >= 0; at--) times[at] = Math.min(times[at]!, times[at + 1]!);
    const [nudgedMs, fromMs, toMs, sendMs, acknowledgedMs] = times.map((ms) => Math.max(ms, committedMs)) as Five;
    const ms = {
      nudge: nudgedMs - committedMs,
      'wait for a read': fromMs - nudgedMs,
      read: toMs - fromMs,
      'make the batch': sendMs - toMs,
      send: acknowledgedMs - sendMs,
    };
    return [{ bucket, committedMs, acknowledgedMs, ms, waited: { fromMs: nudgedMs, toMs: fromMs } }];
  });
}

type Five = [number, number, number, number, number];

/** The slowest hundredth, one at least. */
export function slowest(paths: readonly Path[]): Path[] {
  return paths.toSorted((a, b) => total(b) - total(a)).slice(0, Math.ceil(paths.length / 100));
}

export function stageTable(paths: readonly Path[]): Rows {
  const slow = slowest(paths);
  const largest = Map.groupBy(slow, ({ ms }) => stages.reduce((one, other) => (ms[other] > ms[one] ? other : one)));
  const line = (stage: string, of: (path: Path) => number) => ({
    stage,
    p50: round(percentile(paths.map(of), 0.5)),
    p99: round(percentile(paths.map(of), 0.99)),
    max: round(Math.max(...paths.map(of))),
    'mean of the slowest 1 %': round(mean(slow.map(of))),
  });
  return [
    ...stages.map((stage) => ({
      ...line(stage, ({ ms }) => ms[stage]),
      'is the largest in %': Math.round((100 * (largest.get(stage)?.length ?? 0)) / slow.length),
    })),
    line('commit to ack', total),
  ];
}

/** What went on while events were on their way: ms of each, the mean of all events and of the slowest. */
export function meanwhileTable(paths: readonly Path[], trace: RelayTrace, writer: Pauses): Rows {
  const slow = slowest(paths);
  const line = (what: string, of: (path: Path) => number) => ({
    'ms while an event is on its way': what,
    'all events': round(mean(paths.map(of))),
    'slowest 1 %': round(mean(slow.map(of))),
  });
  const during = (spans: readonly Span[]) => (path: Path) => overlapMs(spans, wayOf(path));
  const longest = (spans: readonly Span[]) => (path: Path) => longestMs(spans, wayOf(path));
  const busy = busyBuckets(paths, trace);
  const waitBeside = (of: keyof Busy) => (path: Path) => overlapMs(busy.get(path.bucket)![of], path.waited);
  return [
    line('waits for a read while its bucket sends', waitBeside('sends')),
    line('waits for a read while its bucket deletes', waitBeside('deletes')),
    line('waits for a read while another one runs', ({ waited }) => overlapMs(trace.reads, waited)),
    line("the relay's garbage collector", during(trace.pauses.gc)),
    line("the relay's timers are late", during(trace.pauses.late)),
    line("the relay's thread has no core", (path) => noCoreMs(trace.pauses, wayOf(path))),
    line("the writer's timers are late", during(writer.late)),
    line('longest reading statement', longest(trace.reads)),
    line('longest deleting statement', longest(trace.deletes)),
    ...[...Map.groupBy(trace.requests, ({ api }) => api)].map(([api, requests]) =>
      line(`longest request: ${api}`, longest(requests)),
    ),
  ];
}

/** What the relay asked for, and how long the answers took. */
export function askedTable(trace: RelayTrace, measuredMs: number): Rows {
  const requests = [...Map.groupBy(trace.requests, ({ api }) => api)];
  const kinds: [what: string, spans: readonly Span[]][] = [
    [`statements that read (${rowsOfAnEvent(trace)} times each event)`, trace.reads],
    ['statements that delete', trace.deletes],
    ['calls of the publishers', trace.sends],
    ...requests.map(([api, spans]) => [`requests: ${api}`, spans] as [string, Span[]]),
    ["the relay's garbage collections", trace.pauses.gc],
  ];
  return kinds.map(([what, spans]) => {
    const ms = spans.map(({ fromMs, toMs }) => toMs - fromMs);
    return {
      what,
      'in a second': round((1000 * spans.length) / measuredMs),
      p50: round(percentile(ms, 0.5)),
      p99: round(percentile(ms, 0.99)),
      max: round(Math.max(0, ...ms)),
      'sum, ms in a second': round((1000 * ms.reduce((sum, one) => sum + one, 0)) / measuredMs),
    };
  });
}

/** Rows that were sent and not deleted yet are read again. */
function rowsOfAnEvent({ reads }: RelayTrace): number {
  const sum = (of: (read: RelayTrace['reads'][number]) => number) => reads.reduce((total, read) => total + of(read), 0);
  return round(sum(({ rows }) => rows) / sum(({ eventIds }) => eventIds.length));
}

/** Slow events that follow each other are one episode. The eight with the slowest events. */
export function episodes(paths: readonly Path[], trace: RelayTrace, fromMs: number): Rows {
  const found: Path[][] = [];
  for (const path of slowest(paths).sort((a, b) => a.committedMs - b.committedMs)) {
    const last = found.at(-1)?.at(-1);
    if (last && path.committedMs <= last.acknowledgedMs + 20) found.at(-1)!.push(path);
    else found.push([path]);
  }
  return found
    .sort((a, b) => Math.max(...b.map(total)) - Math.max(...a.map(total)))
    .slice(0, 8)
    .map((slow) => {
      const way = { fromMs: slow[0]!.committedMs, toMs: Math.max(...slow.map(({ acknowledgedMs }) => acknowledgedMs)) };
      const held = stages.map((stage) => `${stage} ${round(mean(slow.map(({ ms }) => ms[stage])))}`);
      return {
        'at s': round((way.fromMs - fromMs) / 1000),
        events: slow.length,
        'slowest ms': round(Math.max(...slow.map(total))),
        'stages, ms': held.join(', '),
        'gc ms': round(overlapMs(trace.pauses.gc, way)),
        'no core ms': round(noCoreMs(trace.pauses, way)),
        'read ms': round(longestMs(trace.reads, way)),
        'delete ms': round(longestMs(trace.deletes, way)),
        'request ms': round(longestMs(trace.requests, way)),
      };
    });
}

interface Busy {
  sends: Span[];
  /** From an acknowledgement until the bucket's next delete is done. */
  deletes: Span[];
}

function busyBuckets(paths: readonly Path[], trace: RelayTrace): Map<number, Busy> {
  return new Map(
    [...Map.groupBy(paths, ({ bucket }) => bucket)].map(([bucket, ofBucket]) => {
      const sends = new Map(
        ofBucket.map(({ acknowledgedMs, ms }) => [
          acknowledgedMs,
          { fromMs: acknowledgedMs - ms.send, toMs: acknowledgedMs },
        ]),
      );
      const ends = trace.deletes.filter(({ buckets }) => buckets.includes(bucket)).map(({ toMs }) => toMs);
      const deletes = [...sends.keys()].flatMap((fromMs) => {
        const toMs = ends.find((ms) => ms > fromMs);
        return toMs === undefined ? [] : [{ fromMs, toMs }];
      });
      return [bucket, { sends: [...sends.values()], deletes }] as const;
    }),
  );
}

/** How much of `way` the spans cover together. */
export function overlapMs(spans: readonly Span[], way: Span): number {
  let [coveredMs, untilMs] = [0, way.fromMs];
  const inside = spans.filter(({ fromMs, toMs }) => toMs > way.fromMs && fromMs < way.toMs);
  for (const { fromMs, toMs } of inside.sort((a, b) => a.fromMs - b.fromMs)) {
    const endMs = Math.min(toMs, way.toMs);
    coveredMs += Math.max(0, endMs - Math.max(fromMs, untilMs));
    untilMs = Math.max(untilMs, endMs);
  }
  return coveredMs;
}

function longestMs(spans: readonly Span[], way: Span): number {
  const inside = spans.filter(({ fromMs, toMs }) => toMs > way.fromMs && fromMs < way.toMs);
  return inside.reduce((longest, { fromMs, toMs }) => Math.max(longest, toMs - fromMs), 0);
}

function noCoreMs({ noCore }: Pauses, way: Span): number {
  return noCore.reduce((sum, one) => sum + (one.ms * overlapMs([one], way)) / (one.toMs - one.fromMs), 0);
}

function wayOf({ committedMs, acknowledgedMs }: Path): Span {
  return { fromMs: committedMs, toMs: acknowledgedMs };
}

function total({ committedMs, acknowledgedMs }: Path): number {
  return acknowledgedMs - committedMs;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

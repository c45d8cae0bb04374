import type { DeliveryMode } from '../../relay/options.ts';
import { type BenchResult, figureTable, percentile } from '../bench.ts';
import type { WriteTimes } from './at-rate.ts';
import type { Spent } from './profile.ts';

/** Events a second that are written while the latency is measured. */
export const writesPerSecond = 500;

export interface Drain {
  rows: number;
  mode: DeliveryMode;
  spent: Spent | null;
  perS: number;
  cpuUsPerEvent: number;
  maxRssMb: number;
}

export interface Latency {
  mode: DeliveryMode;
  spent: Spent | null;
  cpuMsPerS: number;
  ms: number[];
  perS: number;
  missing: number;
  maxRssMb: number;
  /** The writer's transactions. */
  writes: WriteTimes;
  /** The same writes without a relay, and the same sends without a database: ms from there to the acknowledgement. */
  alone: { writes: WriteTimes; sendMs: number[] };
  insertsPerS: number;
  tables: NonNullable<BenchResult['more']>;
}

/** Figures of `exactly-once` have that before their names. */
export function nameIn(mode: DeliveryMode, name: string): string {
  return mode === 'at-least-once' ? name : `exactlyOnce${name[0]!.toUpperCase()}${name.slice(1)}`;
}

export function figuresOf(
  mode: DeliveryMode,
  drains: readonly Drain[],
  latency: Latency | undefined,
): Record<string, number> {
  const usualRows = Math.min(...drains.map(({ rows }) => rows));
  const usual = drains.filter(({ rows }) => rows === usualRows);
  const middle = usual.toSorted((a, b) => a.perS - b.perS)[usual.length >> 1];
  const large = drains.find(({ rows }) => rows > usualRows);
  const figures = {
    ...(middle && {
      drainPerS: Math.round(middle.perS),
      drainCpuUsPerEvent: round1(middle.cpuUsPerEvent),
      drainMaxRssMb: Math.round(Math.max(...drains.map(({ maxRssMb }) => maxRssMb))),
    }),
    ...(middle &&
      large && {
        largeRows: large.rows,
        largePerS: Math.round(large.perS),
        largeShare: round2(large.perS / middle.perS),
      }),
    ...(latency && {
      latencyWritesPerS: Math.round(latency.perS),
      latencyCpuMsPerS: Math.round(latency.cpuMsPerS),
      commitToAckP50Ms: round1(percentile(latency.ms, 0.5)),
      commitToAckP99Ms: round1(percentile(latency.ms, 0.99)),
      latencyRssMb: Math.round(latency.maxRssMb),
      neverAcknowledged: latency.missing,
      ...both('writerCommit', latency.writes.commitMs),
      ...both('limitCommit', latency.alone.writes.commitMs),
      ...both('limitWrite', latency.alone.writes.transactionMs),
      ...both('limitSend', latency.alone.sendMs),
    }),
  };
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [nameIn(mode, name), value]));
}

function both(name: string, ms: readonly number[]): Record<string, number> {
  return { [`${name}P50Ms`]: round1(percentile(ms, 0.5)), [`${name}P99Ms`]: round1(percentile(ms, 0.99)) };
}

/** The most that the writers could do. */
export function limitsOf(latencies: readonly Latency[]): Record<string, number> {
  const most = Math.max(...latencies.map(({ insertsPerS }) => insertsPerS));
  return latencies.length > 0 ? { limitInsertsPerS: Math.round(most) } : {};
}

export function table(figures: Record<string, number>): BenchResult['rows'] {
  type Line = [name: string, key: string, unit: string, goal: string];
  const ofMode = (mode: DeliveryMode, goals: { perS: string; p50: string; p99: string }): Line[] => [
    [`${mode}: backlog drained`, nameIn(mode, 'drainPerS'), 'events/s', goals.perS],
    ['  CPU of the relay', nameIn(mode, 'drainCpuUsPerEvent'), 'µs/event', ''],
    ['  its memory at most', nameIn(mode, 'drainMaxRssMb'), 'MB', '< 250'],
    [`${mode}: large backlog drained`, nameIn(mode, 'largePerS'), 'events/s', ''],
    ['  its share of the usual one', nameIn(mode, 'largeShare'), '', '≥ 0.8'],
    ['  rows of it', nameIn(mode, 'largeRows'), 'rows', ''],
    [`${mode}: commit to ack, p50`, nameIn(mode, 'commitToAckP50Ms'), 'ms', goals.p50],
    ['  p99', nameIn(mode, 'commitToAckP99Ms'), 'ms', goals.p99],
    ['  writes', nameIn(mode, 'latencyWritesPerS'), 'events/s', `${writesPerSecond}`],
    ['  CPU of the relay meanwhile', nameIn(mode, 'latencyCpuMsPerS'), 'ms/s', ''],
    ['  memory of the relay at most', nameIn(mode, 'latencyRssMb'), 'MB', '< 250'],
    ...twice(mode, "  the writer's COMMIT meanwhile", 'writerCommit'),
    ...twice(mode, '  limit: insert and COMMIT, same rate, no relay', 'limitWrite'),
    ...twice(mode, '  limit: COMMIT of it', 'limitCommit'),
    ...twice(mode, '  limit: send, same rate, no database', 'limitSend'),
  ];
  const twice = (mode: DeliveryMode, what: string, key: string): Line[] => [
    [`${what}, p50`, nameIn(mode, `${key}P50Ms`), 'ms', ''],
    [`${what}, p99`, nameIn(mode, `${key}P99Ms`), 'ms', ''],
  ];
  const lines: Line[] = [
    ...ofMode('at-least-once', { perS: '≥ 45,000', p50: '≤ 5', p99: '≤ 20' }),
    ...ofMode('exactly-once', { perS: '≥ 25,000', p50: '', p99: '≤ 50' }),
    ['limit: bare kafkajs producer', 'limitKafkajsPerS', 'messages/s', ''],
    ['limit: bare publishers of this project', 'limitPublishersPerS', 'messages/s', ''],
    ['limit: rows written, 500 in a transaction', 'filledRowsPerS', 'rows/s', ''],
    ['limit: bare insert loop, one in a transaction', 'limitInsertsPerS', 'events/s', ''],
  ];
  return figureTable(lines, figures);
}

export function moreTables(drains: readonly Drain[], latencies: readonly Latency[]): NonNullable<BenchResult['more']> {
  return [...latencies.flatMap(({ tables }) => tables), ...spentTables(drains, latencies)];
}

function spentTables(drains: readonly Drain[], latencies: readonly Latency[]): NonNullable<BenchResult['more']> {
  // A profile's time includes that in which the machine ran something else: its shares are of the CPU that was used.
  const tableOf = (title: string, unit: string, { areas, functions }: Spent, cpu: number) => {
    const profiledUs = areas.reduce((sum, { us }) => sum + us, 0);
    const line = (what: string, us: number) => ({
      what,
      [unit]: round1((cpu * us) / profiledUs),
      '%': round1((100 * us) / profiledUs),
    });
    return [
      { title, rows: areas.filter(({ us }) => us > profiledUs / 200).map(({ area, us }) => line(area, us)) },
      { title: `${title}: single functions`, rows: functions.slice(0, 15).map(({ where, us }) => line(where, us)) },
    ];
  };
  return [
    ...drains.flatMap(({ mode, spent, cpuUsPerEvent }) =>
      spent ? tableOf(`CPU of the relay, ${mode}, backlog`, 'µs/event', spent, cpuUsPerEvent) : [],
    ),
    ...latencies.flatMap(({ mode, spent, cpuMsPerS }) =>
      spent ? tableOf(`CPU of the relay, ${mode}, ${writesPerSecond}/s`, 'ms/s', spent, cpuMsPerS) : [],
    ),
  ];
}

export function notes(drains: readonly Drain[], latencies: readonly Latency[]): string[] {
  const said: string[] = [];
  for (const [mode, ofMode] of Map.groupBy(drains, ({ mode }) => mode)) {
    const rates = ofMode.map(({ perS }) => Math.round(perS)).join(', ');
    said.push(`Drains, ${mode}, each by a new process: ${rates} events/s; the table has the middle one.`);
  }
  for (const { mode, ms, missing } of latencies) {
    said.push(`${mode}: ${ms.length} events timed, ${missing} never acknowledged.`);
  }
  return said;
}

function round1(value: number): number {
  return Math.round(value * 10) / 10;
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}

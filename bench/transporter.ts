import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../config/load.ts';
import { startStack } from '../stack/stack.ts';
import { uniqueName } from '../testing/servers.ts';
import { type Bench, type BenchResult, percentile } from './bench.ts';
import type { CallsAnswer, NodeOrder, UsageAnswer } from './transporter-node.ts';

type Kind = 'own' | 'stock';

const kinds: readonly Kind[] = ['own', 'stock'];
const rounds = 5;
const warmUpMs = 2_000;
const idleMs = 40_000;

/** Small calls carry 100 bytes each way, large ones 1 MB. */
const loads = {
  many: { callers: 100, bytes: 100, durationMs: 3_000 },
  one: { callers: 1, bytes: 100, durationMs: 2_000 },
  large: { callers: 1, bytes: 1_000_000, durationMs: 2_000 },
  fourLarge: { callers: 4, bytes: 1_000_000, durationMs: 3_000 },
} as const;

/**
 * This project's transporter beside Moleculer's own, on the same broker: two nodes each, every node in a process of its own,
 * both with their defaults. Loads go in turn (own, stock, own, …), what is idle is measured for both at the same time.
 */
const bench: Bench = {
  title: `Kafka transporters: this project's and Moleculer's own, two nodes each, ${rounds} rounds in turn`,
  async run() {
    const named = process.env.HOTBOARD_KAFKA_BROKERS;
    if (named) return measure(named);
    const data = mkdtempSync(join(tmpdir(), 'hotboard-bench-'));
    const { env } = process;
    const stack = await startStack({ config: loadConfig(env), env, data, log: () => {}, keepData: false });
    try {
      return await measure(stack.environment.HOTBOARD_KAFKA_BROKERS);
    } finally {
      await stack.stop();
      rmSync(data, { recursive: true, force: true });
    }
  },
};

export default bench;

class Node {
  readonly #process: ChildProcess;

  constructor(kind: Kind, role: 'worker' | 'caller', namespace: string, brokers: string) {
    const file = fileURLToPath(new URL('./transporter-node.ts', import.meta.url));
    this.#process = fork(file, [kind, role, namespace, brokers]);
  }

  /** The next message of the process; throws when it ends instead. */
  async #answer<Answer>(): Promise<Answer> {
    const ended = new AbortController();
    const { signal } = ended;
    try {
      return await Promise.race([
        once(this.#process, 'message', { signal }).then(([message]) => message as Answer),
        once(this.#process, 'exit', { signal }).then(([code]) => {
          throw new Error(`a node of the bench ended with ${code}`);
        }),
      ]);
    } finally {
      ended.abort();
    }
  }

  async ready(): Promise<void> {
    await this.#answer();
  }

  async ask<Answer>(order: NodeOrder): Promise<Answer> {
    this.#process.send(order);
    return this.#answer();
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exit = once(this.#process, 'exit');
    this.#process.send({ do: 'stop' } satisfies NodeOrder);
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), 10_000);
    await exit;
    clearTimeout(timer);
  }
}

interface Totals {
  latenciesMs: number[];
  failed: number;
  elapsedMs: number;
}

async function measure(brokers: string): Promise<BenchResult> {
  // Moleculer's own takes no dots, and underscores beside dots only bring warnings of the broker.
  const namespace = uniqueName('bench').replace('_', '-');
  const pairs = {} as Record<Kind, { worker: Node; caller: Node }>;
  for (const kind of kinds) {
    pairs[kind] = {
      worker: new Node(kind, 'worker', namespace + kind, brokers),
      caller: new Node(kind, 'caller', namespace + kind, brokers),
    };
  }
  const nodes = kinds.flatMap((kind) => [pairs[kind].worker, pairs[kind].caller]);
  try {
    await Promise.all(nodes.map((node) => node.ready()));
    const totals = await inTurn((kind, order) => pairs[kind].caller.ask<CallsAnswer>(order));
    // What the loads left behind goes first: garbage, and commits of positions.
    await pause(5_000);
    const before = await Promise.all(nodes.map((node) => node.ask<UsageAnswer>({ do: 'usage' })));
    await pause(idleMs);
    const after = await Promise.all(nodes.map((node) => node.ask<UsageAnswer>({ do: 'usage' })));
    // Two nodes of each kind, in the order of `nodes`.
    const idle = (at: number) => {
      const used = [at, at + 1].map((node) => ({
        cpu: (after[node]!.cpuMs - before[node]!.cpuMs) / (after[node]!.atMs - before[node]!.atMs),
        bytes: (after[node]!.socketBytes - before[node]!.socketBytes) / (after[node]!.atMs - before[node]!.atMs),
      }));
      return { cpu: used[0]!.cpu + used[1]!.cpu, bytes: used[0]!.bytes + used[1]!.bytes };
    };
    return resultOf(totals, { own: idle(0), stock: idle(2) });
  } finally {
    await Promise.all(nodes.map((node) => node.stop()));
  }
}

async function inTurn(
  ask: (kind: Kind, order: NodeOrder) => Promise<CallsAnswer>,
): Promise<Record<Kind, Record<keyof typeof loads, Totals>>> {
  const empty = (): Totals => ({ latenciesMs: [], failed: 0, elapsedMs: 0 });
  const totals = {
    own: { many: empty(), one: empty(), large: empty(), fourLarge: empty() },
    stock: { many: empty(), one: empty(), large: empty(), fourLarge: empty() },
  };
  for (const kind of kinds) await ask(kind, { do: 'calls', ...loads.many, durationMs: warmUpMs });
  for (let round = 0; round < rounds; round++) {
    for (const load of Object.keys(loads) as (keyof typeof loads)[]) {
      for (const kind of kinds) {
        const answer = await ask(kind, { do: 'calls', ...loads[load] });
        const total = totals[kind][load];
        for (const latencyMs of answer.latenciesMs) total.latenciesMs.push(latencyMs);
        total.failed += answer.failed;
        total.elapsedMs += answer.elapsedMs;
      }
    }
  }
  return totals;
}

function resultOf(
  totals: Record<Kind, Record<keyof typeof loads, Totals>>,
  idle: Record<Kind, { cpu: number; bytes: number }>,
): BenchResult {
  const perS = ({ latenciesMs, elapsedMs }: Totals) => (latenciesMs.length * 1_000) / elapsedMs;
  const ms = ({ latenciesMs }: Totals, share: number) => percentile(latenciesMs, share);
  const p50 = (total: Totals) => ms(total, 0.5);
  const p99 = (total: Totals) => ms(total, 0.99);
  const fourTimes = (own: number, stock: number) => own >= 4 * stock;
  const half = (own: number, stock: number) => own <= stock / 2;
  const notBelow = (own: number, stock: number) => own >= stock;
  const notAbove = (own: number, stock: number) => own <= stock;
  const compared = [
    row('many', 'CallsPerS', '100 callers, calls/s', 'at least 4 times', perS, fourTimes),
    row('many', 'P99Ms', '100 callers, p99 ms', 'at most half', p99, half),
    row('one', 'P50Ms', '1 caller, p50 ms', 'not above', p50, notAbove),
    row('large', 'P50Ms', '1 MB there and back, 1 caller, p50 ms', 'not above', p50, notAbove),
    row('fourLarge', 'CallsPerS', '1 MB there and back, 4 callers, calls/s', 'not below', perS, notBelow),
    {
      name: 'idleBytesPerS',
      label: 'idle, bytes/s on the wire, two nodes',
      goal: 'not above',
      own: idle.own.bytes * 1_000,
      stock: idle.stock.bytes * 1_000,
      isMet: idle.own.bytes <= idle.stock.bytes,
    },
    {
      name: 'idleCpuPercent',
      label: 'idle, CPU % of two nodes',
      goal: 'not above',
      own: idle.own.cpu * 100,
      stock: idle.stock.cpu * 100,
      isMet: idle.own.cpu <= idle.stock.cpu,
    },
  ];
  function row(
    load: keyof typeof loads,
    unit: string,
    label: string,
    goal: string,
    of: (total: Totals) => number,
    met: (own: number, stock: number) => boolean,
  ) {
    const [own, stock] = [of(totals.own[load]), of(totals.stock[load])];
    return { name: `${load}${unit}`, label, goal, own, stock, isMet: met(own, stock) };
  }
  const failed = (kind: Kind) => Object.values(totals[kind]).reduce((sum, total) => sum + total.failed, 0);
  const figures: Record<string, number> = {};
  for (const { name, own, stock, isMet } of compared) {
    figures[name] = rounded(own);
    figures[`${name}Stock`] = rounded(stock);
    figures[`${name}GoalMet`] = isMet ? 1 : 0;
  }
  figures.failedCalls = failed('own');
  figures.failedCallsStock = failed('stock');
  return {
    rows: compared.map(({ label, goal, own, stock, isMet }) => ({
      figure: label,
      own: rounded(own),
      stock: rounded(stock),
      goal: `${goal}: ${isMet ? 'met' : 'missed'}`,
    })),
    figures,
    notes: [`Failed calls: ${failed('own')} (own), ${failed('stock')} (stock).`],
  };
}

function rounded(value: number): number {
  return value >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}

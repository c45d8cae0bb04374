import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Context } from 'moleculer';
import { loadConfig } from '../config/load.ts';
import { createPlatformaticPort } from '../kafka/platformatic/platformatic-port.ts';
import { type RunningServer, type RunningStack, startStack } from '../stack/stack.ts';
import { uniqueName } from '../testing/servers.ts';
import { until } from '../testing/until.ts';
import { allMet, stopAll, type TestNode, testNode } from './testing/nodes.ts';
import { TopicNames } from './topic-names.ts';

/** The promise. What was measured is in README.md. */
const pauseWithinMs = 5_000;
const breakForMs = 12_000;

const faults = ['killed', 'killed', 'held still'].flatMap((how, round) =>
  [1, 2, 3].map((broker) => ({ broker, how, round: round + 1 })),
);

describe('the transporter on three brokers', () => {
  const data = mkdtempSync(join(tmpdir(), 'hotboard-three-'));
  const measured: string[] = [];
  let stack: RunningStack;
  let brokers: string[];
  let caller: TestNode;
  let worker: TestNode;
  let makeNode: (nodeID: string) => TestNode;

  beforeAll(async () => {
    const { HOTBOARD_KAFKA_BROKERS: _, ...env } = process.env;
    const settings = { config: loadConfig(env), env, data, log: () => {}, keepData: false, quickStart: true };
    stack = await startStack({ ...settings, kafkaNodes: 3 });
    brokers = stack.environment.HOTBOARD_KAFKA_BROKERS.split(',');
    const namespace = uniqueName('three');
    const retryPolicy = { enabled: true, retries: 10, delay: 100, maxDelay: 500, factor: 2 };
    makeNode = (nodeID) =>
      testNode(nodeID, namespace, { connection: { brokers } }, { requestTimeout: 3_000, retryPolicy });
    caller = makeNode('caller');
    worker = makeNode('worker');
    worker.broker.createService({
      name: 'math',
      actions: { add: (ctx: Context<{ a: number; b: number }>) => ctx.params.a + ctx.params.b },
    });
    await Promise.all([caller.broker.start(), worker.broker.start()]);
    await allMet([caller, worker], 30_000);
    await caller.broker.waitForServices('math', 30_000, 20);
  }, 240_000);

  afterAll(async () => {
    console.info(measured.join('\n'));
    await stopAll([caller, worker].filter(Boolean));
    await stack?.stop();
    rmSync(data, { recursive: true, force: true });
  }, 60_000);

  const unread = () => caller.transporter.health().unread + worker.transporter.health().unread;

  it('has a partition of each topic on each broker, one copy each', async () => {
    const admin = createPlatformaticPort({ brokers, clientId: 'test' }).admin();
    const names = new TopicNames(`MOL-${caller.broker.namespace}`);
    for (const topic of [names.all, names.inbox('caller'), names.inbox('worker')]) {
      const { partitions } = await admin.describeTopic(topic);
      expect(partitions.map(({ leader }) => leader).sort()).toEqual([1, 2, 3]);
      for (const { replicas, leader } of partitions) expect(replicas).toEqual([leader]);
    }
    await admin.close();
  });

  it.each(faults)(
    'goes on while broker $broker is $how (round $round)',
    async ({ broker, how }) => {
      const server = stack.servers.find(({ name }) => name === `kafka-${broker}`)!;
      await until('every partition is read', 60_000, () => unread() === 0);
      const load = new Load(caller);
      await until('calls are answered', 10_000, () => load.answers > 50);
      await breakServer(server, how);
      await pause(breakForMs);
      await load.stop();
      measured.push(`broker ${broker} ${how}: ${load}`);
      await mend(server, how);
      expect(load.failures).toEqual([]);
      expect(load.longestPauseMs).toBeLessThan(pauseWithinMs);
      expect(load.longestCallMs).toBeLessThan(3 * pauseWithinMs);
      for (const { transporter } of [caller, worker]) expect(transporter.health().reconnects).toBe(0);
    },
    180_000,
  );

  it.each(['killed', 'held still'])(
    'lets a node join while a broker is %s',
    async (how) => {
      const server = stack.servers.find(({ name }) => name === 'kafka-1')!;
      await until('every partition is read', 60_000, () => unread() === 0);
      await breakServer(server, how);
      const late = makeNode(`late-${how.length}`);
      try {
        const startedMs = performance.now();
        await late.broker.start();
        await allMet([caller, worker, late], 30_000);
        await late.broker.waitForServices('math', 10_000, 20);
        expect(await late.broker.call('math.add', { a: 1, b: 2 })).toBe(3);
        measured.push(`a node joined with broker 1 ${how}: after ${Math.round(performance.now() - startedMs)} ms`);
      } finally {
        await late.broker.stop();
        await mend(server, how);
      }
    },
    180_000,
  );
});

async function breakServer(server: RunningServer, how: string): Promise<void> {
  await (how === 'killed' ? server.kill() : server.suspend());
}

async function mend(server: RunningServer, how: string): Promise<void> {
  await (how === 'killed' ? server.start() : server.resume());
}

/** Five callers, each with one call after the other, which are tried again by Moleculer's policy. */
class Load {
  readonly failures: string[] = [];
  answers = 0;
  /** Without an answer to anybody. */
  longestPauseMs = 0;
  longestCallMs = 0;
  #stopped = false;
  #lastMs = performance.now();
  readonly #callers: Promise<void>[];

  constructor({ broker }: TestNode) {
    this.#callers = Array.from({ length: 5 }, async () => {
      while (!this.#stopped) {
        const calledMs = performance.now();
        const sum = await broker.call('math.add', { a: 1, b: 2 }).catch((error) => this.failures.push(error.message));
        if (sum !== 3) continue;
        this.answers++;
        this.longestCallMs = Math.max(this.longestCallMs, performance.now() - calledMs);
        this.#mark();
        await pause(20);
      }
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#callers);
    this.#mark();
  }

  #mark(): void {
    const nowMs = performance.now();
    this.longestPauseMs = Math.max(this.longestPauseMs, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
  }

  toString(): string {
    const [pauseMs, callMs] = [Math.round(this.longestPauseMs), Math.round(this.longestCallMs)];
    return `longest pause ${pauseMs} ms, longest call ${callMs} ms, ${this.answers} answers`;
  }
}

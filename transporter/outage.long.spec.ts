import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Context } from 'moleculer';
import { loadConfig } from '../config/load.ts';
import { KafkaProxy } from '../faults/proxy/kafka-proxy.ts';
import { type RunningStack, startStack } from '../stack/stack.ts';
import { uniqueName } from '../testing/servers.ts';
import { until } from '../testing/until.ts';
import { allMet, stopAll, type TestNode, testNode } from './testing/nodes.ts';

/** Three times the promise: tests share the machine. */
const backWithinMs = 3 * 10_000;

/** Callers go on all the time, with five calls a second each, so that whatever piles up would show. */
const callers = 20;
const largestGrowthBytes = 40 * 1024 * 1024;

describe('the transporter after long outages of its only broker', () => {
  const data = mkdtempSync(join(tmpdir(), 'hotboard-long-outage-'));
  let stack: RunningStack;
  let proxy: KafkaProxy;
  let caller: TestNode;
  let worker: TestNode;

  beforeAll(async () => {
    const { HOTBOARD_KAFKA_BROKERS: _, ...env } = process.env;
    stack = await startStack({ config: loadConfig(env), env, data, log: () => {}, keepData: false, quickStart: true });
    proxy = await KafkaProxy.start(stack.environment.HOTBOARD_KAFKA_BROKERS.split(','));
    const namespace = uniqueName('long');
    const node = (nodeID: string) => testNode(nodeID, namespace, { connection: { brokers: proxy.brokers } });
    caller = node('caller');
    worker = node('worker');
    worker.broker.createService({
      name: 'math',
      actions: { add: (ctx: Context<{ a: number; b: number }>) => ctx.params.a + ctx.params.b },
    });
    await Promise.all([caller.broker.start(), worker.broker.start()]);
    await allMet([caller, worker], 30_000);
    await caller.broker.waitForServices('math', 30_000, 20);
  }, 240_000);

  afterAll(async () => {
    await stopAll([caller, worker].filter(Boolean));
    await proxy?.stop();
    await stack?.stop();
    rmSync(data, { recursive: true, force: true });
  }, 60_000);

  const kafka = () => stack.server('kafka');
  const outages: [string, number, () => Promise<unknown>, () => Promise<unknown>][] = [
    ['killed for 60 s', 60_000, () => kafka().kill(), () => kafka().start()],
    ['stopped by SIGSTOP for 60 s', 60_000, () => kafka().suspend(), () => kafka().resume()],
    ['answering to nobody for 60 s', 60_000, async () => proxy.set({ mode: 'swallow' }), pass],
    ['answering to nobody for 5 minutes', 300_000, async () => proxy.set({ mode: 'swallow' }), pass],
  ];
  async function pass() {
    proxy.set({ mode: 'pass' });
  }

  it.each(outages)(
    'has calls answered again, and no more memory, when it was %s',
    async (how, outageMs, begin, end) => {
      const add = () => caller.broker.call('math.add', { a: 1, b: 2 });
      let done = false;
      let refused = 0;
      const calling = Array.from({ length: callers }, async () => {
        while (!done) {
          await add().catch(() => refused++);
          await pause(200);
        }
      });
      await pause(5_000);
      const before = await usedBytes();
      await begin();
      await pause(outageMs);
      const during = await usedBytes();
      expect(caller.transporter.health()).toMatchObject({ state: 'away', queued: 0 });
      await end();
      const returnedMs = performance.now();
      await until('remote calls are answered', backWithinMs, async () => (await add().catch(() => null)) === 3);
      const backMs = performance.now() - returnedMs;
      done = true;
      await Promise.all(calling);
      const after = await usedBytes();
      const megabytes = [before, during, after].map((bytes) => (bytes / 1024 / 1024).toFixed(1)).join(', ');
      console.info(`${how}: back after ${Math.round(backMs)} ms, ${refused} calls refused; MB in use: ${megabytes}`);
      expect(refused).toBeGreaterThan(0);
      expect(Math.max(during, after) - before).toBeLessThan(largestGrowthBytes);
      for (const { transporter } of [caller, worker]) {
        await until('a node joins again', backWithinMs, () => transporter.connected);
        expect(transporter.health()).toMatchObject({ state: 'joined', deaf: false });
      }
    },
    420_000,
  );
});

/** What is reachable on the heap and in buffers, as far as garbage collection can be had. */
async function usedBytes(): Promise<number> {
  const { setFlagsFromString } = await import('node:v8');
  const { runInNewContext } = await import('node:vm');
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

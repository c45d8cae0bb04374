import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Context } from 'moleculer';
import { loadConfig } from '../config/load.ts';
import { type RunningServer, type RunningStack, startStack } from '../stack/stack.ts';
import { uniqueName } from '../testing/servers.ts';
import { until } from '../testing/until.ts';
import { allMet, stopAll, type TestNode, testNode } from './testing/nodes.ts';

/** From Kafka's return to the first call that is answered: three times the transporter's own promise, as tests share the machine. */
const backWithinMs = 3 * 10_000;

describe('the transporter when its only broker goes away', () => {
  const data = mkdtempSync(join(tmpdir(), 'hotboard-transporter-'));
  let stack: RunningStack;
  let kafka: RunningServer;
  let brokers: string[];
  let caller: TestNode;
  let worker: TestNode;

  beforeAll(async () => {
    const { HOTBOARD_KAFKA_BROKERS: _, ...env } = process.env;
    stack = await startStack({ config: loadConfig(env), env, data, log: () => {}, keepData: false, quickStart: true });
    kafka = stack.server('kafka');
    brokers = stack.environment.HOTBOARD_KAFKA_BROKERS.split(',');
    const namespace = uniqueName('outage');
    const node = (nodeID: string) => testNode(nodeID, namespace, { connection: { brokers } });
    caller = node('caller');
    worker = node('worker');
    worker.broker.createService({
      name: 'math',
      actions: { add: (ctx: Context<{ a: number; b: number }>) => ctx.params.a + ctx.params.b },
    });
    caller.broker.createService({ name: 'local', actions: { answer: () => 42 } });
    await Promise.all([caller.broker.start(), worker.broker.start()]);
    await allMet([caller, worker]);
    await caller.broker.waitForServices('math', backWithinMs, 20);
  }, 240_000);

  afterAll(async () => {
    await stopAll([caller, worker].filter(Boolean));
    await stack?.stop();
    rmSync(data, { recursive: true, force: true });
  }, 180_000);

  const add = () => caller.broker.call('math.add', { a: 1, b: 2 });

  /** Calls fail at once with a code, local ones work, and nothing piles up. */
  const expectAway = async () => {
    await until('the outage is seen', 45_000, () => !caller.transporter.connected && !worker.transporter.connected);
    expect(caller.transporter.health()).toMatchObject({ state: 'away', connected: false });
    for (let i = 0; i < 50; i++) {
      const startedMs = performance.now();
      await expect(add()).rejects.toMatchObject({ code: 503, type: 'KAFKA_UNAVAILABLE', retryable: true });
      expect(performance.now() - startedMs).toBeLessThan(4_000); // a time-out would be 5 s
    }
    expect(await caller.broker.call('local.answer')).toBe(42);
    // What was on its way when Kafka went keeps its place until its time is over.
    await until('no packet waits', 30_000, () => caller.transporter.health().queued === 0);
  };

  const expectBack = async (reconnects: number) => {
    await until('remote calls are answered', backWithinMs, async () => (await add().catch(() => null)) === 3);
    for (let i = 0; i < 20; i++) expect(await add()).toBe(3);
    await until('the other node joins again', backWithinMs, () => worker.transporter.connected);
    for (const { transporter } of [caller, worker]) {
      await until('it hears again', backWithinMs, () => transporter.connected && !transporter.health().deaf);
      expect(transporter.health().reconnects).toBeGreaterThanOrEqual(reconnects);
    }
  };

  it('fails calls at once while the broker is dead, lets a node start, and joins all when it returned', async () => {
    expect(await add()).toBe(3);
    await kafka.kill();
    const killedMs = performance.now();
    await expectAway();
    const late = testNode('late', caller.broker.namespace, { connection: { brokers } });
    late.broker.createService({ name: 'late', actions: { answer: () => 'late' } });
    await late.broker.start();
    expect(await late.broker.call('late.answer')).toBe('late');
    expect(late.transporter.health().state).toBe('starting');
    await pause(12_000 - (performance.now() - killedMs));
    await kafka.start();
    await expectBack(1);
    await allMet([caller, worker, late], backWithinMs);
    await caller.broker.waitForServices('late', backWithinMs, 20);
    expect(await caller.broker.call('late.answer')).toBe('late');
    await late.broker.stop();
  }, 240_000);

  it('notices a broker that holds still with its connections open, and comes back when it goes on', async () => {
    await kafka.suspend();
    const heldMs = performance.now();
    await expectAway();
    await pause(12_000 - (performance.now() - heldMs));
    await kafka.resume();
    await expectBack(2);
  }, 240_000);
});

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
import { allMet, stopAll, type TestNode, testNode, until } from './testing/nodes.ts';
import { TopicNames } from './topic-names.ts';

/** Several times the promise: tests share the machine. The figures are in README.md. */
const pauseWithinMs = 6 * 5_000;

describe('the transporter on three brokers, three copies, of which two must have a message', () => {
  const data = mkdtempSync(join(tmpdir(), 'hotboard-three-'));
  let stack: RunningStack;
  let brokers: string[];
  let caller: TestNode;
  let worker: TestNode;

  beforeAll(async () => {
    const { HOTBOARD_KAFKA_BROKERS: _, ...env } = process.env;
    const settings = { config: loadConfig(env), env, data, log: () => {}, keepData: false, quickStart: true };
    stack = await startStack({ ...settings, kafkaNodes: 3 });
    brokers = stack.environment.HOTBOARD_KAFKA_BROKERS.split(',');
    const namespace = uniqueName('three');
    const retryPolicy = { enabled: true, retries: 30, delay: 100, maxDelay: 500, factor: 2 };
    const node = (nodeID: string) =>
      testNode(nodeID, namespace, { connection: { brokers }, graceMs: 1_500 }, { requestTimeout: 1_500, retryPolicy });
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
    await stack?.stop();
    rmSync(data, { recursive: true, force: true });
  }, 60_000);

  /** The broker that leads the first partition of a node's inbox. */
  const leaderOf = async (nodeId: string): Promise<RunningServer> => {
    const admin = createPlatformaticPort({ brokers, clientId: 'test' }).admin();
    try {
      const topic = new TopicNames(`MOL-${caller.broker.namespace}`).inbox(nodeId);
      const { partitions } = await admin.describeTopic(topic);
      const leader = partitions[0]!.leader;
      return stack.servers.find(({ name }) => name === `kafka-${leader}`)!;
    } finally {
      await admin.close();
    }
  };

  it.each(['killed', 'held still'])(
    'goes on while one of them is %s',
    async (how) => {
      const broker = await leaderOf('worker');
      const failures: unknown[] = [];
      let answers = 0;
      let lastMs = performance.now();
      let longestMs = 0;
      let done = false;
      const call = async () => {
        while (!done) {
          const sum = await caller.broker
            .call('math.add', { a: 1, b: 2 })
            .catch((error) => failures.push(error.message));
          if (sum !== 3) continue;
          answers++;
          longestMs = Math.max(longestMs, performance.now() - lastMs);
          lastMs = performance.now();
          await pause(20);
        }
      };
      const callers = Array.from({ length: 5 }, call);
      await until(() => answers > 50, 10_000, 'calls were not answered');
      await (how === 'killed' ? broker.kill() : broker.suspend());
      await pause(20_000);
      done = true;
      await Promise.all(callers);
      longestMs = Math.max(longestMs, performance.now() - lastMs);
      console.info(`one of three brokers ${how}: longest pause ${Math.round(longestMs)} ms, ${answers} answers`);
      expect(failures).toEqual([]);
      expect(longestMs).toBeLessThan(pauseWithinMs);
      await (how === 'killed' ? broker.start() : broker.resume());
      await pause(5_000);
    },
    120_000,
  );
});

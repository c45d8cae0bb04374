import { describe, expect, it } from '@jest/globals';
import { until } from '../testing/until.ts';
import { restartBackoff } from './backoff.ts';
import { exitCodeOfBadConfig } from './messages.ts';
import { nodeEnvironment, planCluster } from './plan.ts';
import { serviceSchemas } from './services.ts';
import { SupervisedProcess } from './supervised-process.ts';

describe('the plan of the cluster', () => {
  it('has two edges, two relays and two projectors, each with ports of its own', () => {
    const nodes = planCluster({ httpPort: 3000, opsPort: 3100 });
    expect(nodes.map((node) => node.nodeId)).toEqual([
      'edge-1',
      'edge-2',
      'relay-1',
      'relay-2',
      'hot-article-1',
      'hot-article-2',
    ]);
    expect(nodes.map((node) => node.httpPort)).toEqual([3000, 3001, null, null, null, null]);
    expect(nodes.map((node) => node.opsPort)).toEqual([3100, 3101, 3102, 3103, 3104, 3105]);
  });

  it('gives a node its own settings on top of the shared ones', () => {
    const [edge] = planCluster({ httpPort: 0, opsPort: 0 });
    expect(nodeEnvironment(edge!, { HOTBOARD_REDIS_URL: 'redis://r', HOTBOARD_NODE_ID: 'x' })).toEqual({
      HOTBOARD_REDIS_URL: 'redis://r',
      HOTBOARD_NODE_ID: 'edge-1',
      HOTBOARD_SERVICES: 'api,article,comment,like,view,hot-list',
      HOTBOARD_OPS_PORT: '0',
      HOTBOARD_HTTP_PORT: '0',
    });
  });

  it('refuses a service that is none, naming those that are', async () => {
    await expect(serviceSchemas(['article', 'articel'])).rejects.toThrow(
      'HOTBOARD_SERVICES has "articel"; allowed: api, article, comment, like, view, hot-list, outbox, relay, hot-article.',
    );
  });
});

describe('the restart backoff', () => {
  it('doubles up to 30 s and starts over after a run of a minute', () => {
    const backoff = restartBackoff();
    expect([10, 10, 10, 10, 10, 10, 10, 10].map((ranMs) => backoff.next(ranMs))).toEqual([
      500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000,
    ]);
    expect(backoff.next(60_000)).toBe(500);
  });
});

describe('a supervised process', () => {
  const events: string[] = [];
  const run = (script: string) => {
    events.length = 0;
    const supervised = new SupervisedProcess(
      { name: 'p', args: ['--input-type=module', '-e', script], env: process.env },
      {
        line: (_, text) => events.push(text),
        ready: () => events.push('ready'),
        crashed: (_, how, restartInMs) => events.push(`${how}, ${restartInMs}`),
      },
    );
    supervised.start();
    return supervised;
  };
  const seen = (text: string, times = 1) =>
    until(`"${text}" seen`, 20_000, () => events.filter((event) => event === text).length >= times);

  it('is started again after a crash', async () => {
    const supervised = run(`console.log('up'); setTimeout(() => process.exit(3), 50)`);
    await seen('up', 2);
    expect(events).toContain('ended with code 3, 500');
    await supervised.stop(1000);
  });

  it('is not started again when its configuration is wrong', async () => {
    const supervised = run(`console.error('HOTBOARD_X is wrong'); process.exit(${exitCodeOfBadConfig})`);
    await seen('ended with code 78, null');
    expect(events).toContain('HOTBOARD_X is wrong');
    await supervised.stop(1000);
  });

  it('is asked to stop, killed when it does not, and not started again', async () => {
    const supervised = run(
      `process.on('SIGTERM', () => console.log('asked')); setInterval(() => {}, 1000); process.send({ type: 'ready' })`,
    );
    await seen('ready');
    await supervised.stop(2000);
    expect(events).toEqual(expect.arrayContaining(['asked', 'did not stop within 2000 ms and is killed']));
    expect(supervised.pid).toBeNull();
  });
});

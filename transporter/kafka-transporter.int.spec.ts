import { createServer } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Context } from 'moleculer';
import { createPlatformaticPort } from '../kafka/platformatic/platformatic-port.ts';
import { testServers, uniqueName } from '../testing/servers.ts';
import { until } from '../testing/until.ts';
import type { KafkaTransporterOptions } from './options.ts';
import { allMet, stopAll, type TestNode, testNode } from './testing/nodes.ts';

const { kafkaBrokers } = testServers();
const options: KafkaTransporterOptions = { connection: { brokers: kafkaBrokers } };

/** No node is taken for dead, and no call for lost, because the machine is busy. */
const patient = { requestTimeout: 30_000, heartbeatTimeout: 60 };

const greeter = (seen: string[]) => ({
  name: 'greeter',
  actions: {
    hello: (ctx: Context<{ name: string }>) => `Hello ${ctx.params.name} from ${ctx.nodeID ? ctx.broker.nodeID : ''}`,
    big: (ctx: Context<{ bytes: number }>) => 'x'.repeat(ctx.params.bytes),
    fails: () => {
      throw new Error('as asked');
    },
    upper: async (ctx: Context) => (await text(ctx.stream as Readable)).toUpperCase(),
    count: () => Readable.from(Array.from({ length: 200 }, (_, i) => `${i},`)),
  },
  events: {
    'thing.happened': (ctx: Context<{ id: number }>) => {
      seen.push(`${ctx.broker.nodeID}:${ctx.params.id}`);
    },
  },
});

describe('nodes over Kafka', () => {
  const namespace = `${uniqueName('tp')}.dotted.name`;
  const seen: string[] = [];
  const [a, b, c] = [
    testNode('a.1', namespace, options, patient),
    testNode('b_1', namespace, options, patient),
    testNode('c/ü', namespace, options, patient),
  ] as const;
  const nodes: TestNode[] = [a, b, c];
  // Node c has no service: it only calls.
  a.broker.createService(greeter(seen) as never);
  b.broker.createService(greeter(seen) as never);

  beforeAll(async () => {
    await Promise.all(nodes.map(({ broker }) => broker.start()));
    await allMet(nodes);
    await until('everybody knows both greeters', 30_000, () =>
      nodes.every(
        ({ broker }) =>
          broker.registry.getServiceList({ onlyAvailable: true }).filter(({ name }) => name === 'greeter').length === 2,
      ),
    );
  });

  afterAll(async () => {
    await stopAll(nodes);
    const admin = createPlatformaticPort({ brokers: kafkaBrokers, clientId: 'test' }).admin();
    const prefix = `MOL-${namespace.replaceAll('_', '_5f').replaceAll('.', '_2e')}`;
    await admin.deleteTopics((await admin.listTopics()).filter((topic) => topic.startsWith(prefix)));
    await admin.close();
  });

  it('call each other, in turn', async () => {
    const answers = new Set<unknown>();
    for (let i = 0; i < 4; i++) answers.add(await c.broker.call('greeter.hello', { name: 'you' }));
    expect([...answers].sort()).toEqual(['Hello you from a.1', 'Hello you from b_1']);
    expect(await a.broker.call('greeter.hello', { name: 'b' }, { nodeID: 'b_1' })).toBe('Hello b from b_1');
    expect(await b.broker.call('greeter.hello', { name: 'a' }, { nodeID: 'a.1' })).toBe('Hello a from a.1');
  });

  it('hand errors back to the caller', async () => {
    await expect(c.broker.call('greeter.fails')).rejects.toThrow('as asked');
  });

  it('answer 100 calls at once, each with its own answer', async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => c.broker.call<string, { name: string }>('greeter.hello', { name: `${i}` })),
    );
    answers.forEach((answer, i) => {
      expect(answer).toMatch(new RegExp(`^Hello ${i} from `));
    });
  });

  it('give an emitted event to one of a group, in turn, and a broadcast to all', async () => {
    seen.length = 0;
    for (let id = 0; id < 10; id++) await c.broker.emit('thing.happened', { id });
    await until('the events arrive', 20_000, () => seen.length >= 10);
    expect(seen.filter((entry) => entry.startsWith('a.1:'))).toHaveLength(5);
    expect(new Set(seen.map((entry) => entry.split(':')[1])).size).toBe(10);
    seen.length = 0;
    await c.broker.broadcast('thing.happened', { id: 99 });
    await until('the broadcast arrives', 20_000, () => seen.length >= 2);
    expect(seen.sort()).toEqual(['a.1:99', 'b_1:99']);
  });

  it('answer a ping', async () => {
    const pong = (await c.broker.ping('a.1', 20_000)) as { nodeID: string; elapsedTime: number };
    expect(pong.nodeID).toBe('a.1');
    const all = (await c.broker.ping(['a.1', 'b_1'], 20_000)) as unknown as Record<string, { nodeID: string }>;
    expect(Object.keys(all).sort()).toEqual(['a.1', 'b_1']);
  });

  it('send streams both ways, whole and in order', async () => {
    const words = Array.from({ length: 300 }, (_, i) => `word${i} `);
    const upper = await c.broker.call('greeter.upper', null, { stream: Readable.from(words) } as never);
    expect(upper).toBe(words.join('').toUpperCase());
    const stream = (await c.broker.call('greeter.count')) as Readable;
    expect(await text(stream)).toBe(Array.from({ length: 200 }, (_, i) => `${i},`).join(''));
  });

  it('carry payloads of 1 MB', async () => {
    expect(((await c.broker.call('greeter.big', { bytes: 1_000_000 })) as string).length).toBe(1_000_000);
  });

  it('refuse a request that is too large, and say both sizes', async () => {
    const calling = c.broker.call('greeter.hello', { name: 'x'.repeat(4_100_000) });
    await expect(calling).rejects.toMatchObject({
      code: 413,
      type: 'KAFKA_PACKET_TOO_LARGE',
      message: expect.stringMatching(/'greeter.hello' has 41\d{5} bytes, the limit is 4000000/),
    });
    expect(await c.broker.call('greeter.hello', { name: 'still' })).toMatch(/^Hello still/);
  });

  it('answer with an error where the response is too large, instead of silence', async () => {
    await expect(c.broker.call('greeter.big', { bytes: 4_100_000 })).rejects.toMatchObject({
      code: 413,
      type: 'KAFKA_PACKET_TOO_LARGE',
    });
  });

  it('hear their own heartbeats, and say in their health how they are', async () => {
    await until('something is heard', 20_000, () => (c.transporter.health().lastHeardMs ?? 1e9) < 500);
    expect(c.transporter.health()).toMatchObject({ state: 'joined', connected: true, deaf: false });
  });

  it('see at once that a node stops, and meet its successor', async () => {
    const make = () => testNode('short', namespace, options, patient);
    const first = make();
    await first.broker.start();
    await allMet([...nodes, first]);
    await first.broker.stop();
    // Far less than the heartbeat time-out.
    await until('the stop is seen', 20_000, () => c.broker.registry.nodes.get('short')?.available === false);
    expect(first.transporter.health().state).toBe('stopped');
    const second = make();
    await second.broker.start();
    await allMet([...nodes, second]);
    await second.broker.stop();
  });

  it('leave no consumer group and two kinds of topics behind', async () => {
    const admin = createPlatformaticPort({ brokers: kafkaBrokers, clientId: 'test' }).admin();
    const unique = namespace.split('.')[0]!.replace('_', '_5f');
    const topics = (await admin.listTopics()).filter((topic) => topic.includes(unique));
    expect(topics.map((topic) => topic.split('.').slice(1).join('.')).sort()).toEqual([
      'all',
      'node.a_2e1',
      'node.b_5f1',
      'node.c_2f_c3_bc',
      'node.short',
    ]);
    expect(
      (await admin.listGroups()).filter((group) => group.includes(unique) || group === c.broker.instanceID),
    ).toEqual([]);
    expect(await admin.topicConfig(topics[0]!)).toMatchObject({ 'retention.ms': '120000', 'cleanup.policy': 'delete' });
    await admin.close();
  });
});

describe('a node without Kafka', () => {
  it('starts, serves local calls and fails remote ones at once with a code', async () => {
    const closed = await closedPort();
    const node = testNode('alone', uniqueName('tp'), { connection: { brokers: [`127.0.0.1:${closed}`] } });
    node.broker.createService({ name: 'local', actions: { answer: () => 42 } });
    const started = performance.now();
    await node.broker.start();
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(await node.broker.call('local.answer')).toBe(42);
    expect(node.transporter.health()).toMatchObject({ state: 'starting', connected: false });
    expect(node.broker.transit?.connected).toBe(false);
    // A node that it knew before: its call reaches the transporter.
    const ctx = { action: { name: 'far.away' }, nodeID: 'other', options: {}, id: '1', params: {}, meta: {} };
    const asked = performance.now();
    await expect(node.broker.transit!.request(ctx as never)).rejects.toMatchObject({
      code: 503,
      type: 'KAFKA_UNAVAILABLE',
      retryable: true,
    });
    expect(performance.now() - asked).toBeLessThan(5_000);
    const stopping = performance.now();
    await node.broker.stop();
    expect(performance.now() - stopping).toBeLessThan(20_000);
  });
});

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

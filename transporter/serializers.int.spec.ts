import { deserialize, serialize } from 'node:v8';
import { afterAll, describe, expect, it } from '@jest/globals';
import moleculer, { type BrokerOptions, type Context } from 'moleculer';
import { createPlatformaticPort } from '../kafka/platformatic/platformatic-port.ts';
import { testServers, uniqueName } from '../testing/servers.ts';
import { until } from '../testing/until.ts';
import { allMet, stopAll, testNode } from './testing/nodes.ts';
import { TopicNames } from './topic-names.ts';

const { kafkaBrokers } = testServers();
const { Base } = moleculer.Serializers;

/** Gives bytes that are no text. */
class BinarySerializer extends Base {
  override serialize(packet: unknown): Buffer {
    return serialize(packet);
  }
  override deserialize(data: Buffer): never {
    return deserialize(data) as never;
  }
}

const prefixes: string[] = [];

afterAll(async () => {
  const admin = createPlatformaticPort({ brokers: kafkaBrokers, clientId: 'test' }).admin();
  const own = (topic: string) => prefixes.some((prefix) => topic.startsWith(prefix));
  await admin.deleteTopics((await admin.listTopics()).filter(own));
  await admin.close();
});

describe.each<[string, BrokerOptions['serializer'], unknown]>([
  ['JSON', 'JSON', { text: 'ü€😀', list: [1, null] }],
  ['JSONExt', 'JSONExt', { date: new Date(5), big: 2n ** 70n, bytes: Buffer.from([0, 255]), set: new Set([1]) }],
  ['one that is not text', new BinarySerializer() as never, { date: new Date(5), bytes: new Uint8Array([0, 255, 10]) }],
])('with the serializer %s', (_name, serializer, value) => {
  it('nodes call each other and hear each other’s events', async () => {
    const namespace = uniqueName('serializer');
    prefixes.push(new TopicNames(`MOL-${namespace}`).all.slice(0, -'all'.length));
    const heard: unknown[] = [];
    const make = (nodeId: string) =>
      testNode(nodeId, namespace, { connection: { brokers: kafkaBrokers } }, { serializer });
    const [caller, worker] = [make('caller'), make('worker')];
    const groups = ['first', 'second'];
    for (const name of groups) {
      worker.broker.createService({
        name,
        actions: { echo: (ctx: Context<{ value: unknown }>) => ctx.params.value },
        events: { 'thing.happened': (ctx: Context<unknown>) => heard.push([name, ctx.params]) },
      } as never);
    }
    const nodes = [caller, worker];
    try {
      await Promise.all(nodes.map(({ broker }) => broker.start()));
      await allMet(nodes);
      await caller.broker.waitForServices(groups, 30_000, 20);
      expect(await caller.broker.call('first.echo', { value })).toEqual(value);
      // Each group of listeners gets it once.
      await caller.broker.emit('thing.happened', value);
      await until('the event arrives', 20_000, () => heard.length >= 2);
      expect(heard.sort()).toEqual(groups.map((name) => [name, value]));
      // One group alone, where the sender names it.
      heard.length = 0;
      await caller.broker.emit('thing.happened', value, { groups: ['second'] });
      await until('the event arrives', 20_000, () => heard.length >= 1);
      expect(await caller.broker.call('first.echo', { value })).toEqual(value);
      expect(heard).toEqual([['second', value]]);
    } finally {
      await stopAll(nodes);
    }
  });
});

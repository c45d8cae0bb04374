import { afterAll, describe, it } from '@jest/globals';
import { KafkaProxy } from '../faults/proxy/kafka-proxy.ts';
import { createPlatformaticPort } from '../kafka/platformatic/platformatic-port.ts';
import { testServers, uniqueName } from '../testing/servers.ts';
import { until } from '../testing/until.ts';
import { allMet, stopAll, type TestNode, testNode } from './testing/nodes.ts';
import { TopicNames } from './topic-names.ts';

const { kafkaBrokers } = testServers();

/** Seconds. */
const heartbeat = { heartbeatInterval: 1, heartbeatTimeout: 4 };

/** Several times what is promised: tests share the machine. */
const meetWithinMs = 18 * 5_000;
const goneWithinMs = 6 * (heartbeat.heartbeatTimeout + 2) * 1_000;

describe('20 nodes', () => {
  const namespace = uniqueName('twenty');
  const nodes: TestNode[] = [];
  let proxy: KafkaProxy;

  afterAll(async () => {
    await proxy?.listen();
    await stopAll(nodes);
    await proxy?.stop();
    const admin = createPlatformaticPort({ brokers: kafkaBrokers, clientId: 'test' }).admin();
    const prefix = new TopicNames(`MOL-${namespace}`).all.slice(0, -'all'.length);
    await admin.deleteTopics((await admin.listTopics()).filter((topic) => topic.startsWith(prefix)));
    await admin.close();
  }, 180_000);

  it('find each other, and ten that die without a word are gone from the registries of all others', async () => {
    proxy = await KafkaProxy.start(kafkaBrokers);
    const make = (name: string, brokers: string[]) =>
      Array.from({ length: 10 }, (_, i) => testNode(`${name}-${i}`, namespace, { connection: { brokers } }, heartbeat));
    const living = make('living', kafkaBrokers);
    // Their way to Kafka can be cut, which looks to the others as if their processes were killed.
    const dying = make('dying', proxy.brokers);
    nodes.push(...living, ...dying);
    await Promise.all(nodes.map(({ broker }) => broker.start()));
    const startedMs = performance.now();
    await allMet(nodes, meetWithinMs);
    const metMs = performance.now() - startedMs;

    await proxy.refuse();
    const diedMs = performance.now();
    const known = ({ broker }: TestNode, others: TestNode[]) =>
      others.filter((other) => broker.registry.nodes.get(other.broker.nodeID)?.available === true).length;
    await until('dead nodes are gone', goneWithinMs, () => living.every((node) => known(node, dying) === 0));
    const goneMs = performance.now() - diedMs;
    console.info(`20 nodes met in ${Math.round(metMs)} ms; ten dead ones were gone after ${Math.round(goneMs)} ms`);
    await until('the living know each other', meetWithinMs, () => living.every((node) => known(node, living) === 10));
  }, 300_000);
});

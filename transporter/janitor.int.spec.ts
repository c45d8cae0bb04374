import { describe, expect, it } from '@jest/globals';
import { createPlatformaticPort } from '../kafka/platformatic/platformatic-port.ts';
import { testServers, uniqueName } from '../testing/servers.ts';
import { until } from '../testing/until.ts';
import { Janitor } from './janitor.ts';
import { allMet, stopAll, testNode } from './testing/nodes.ts';
import { TopicNames } from './topic-names.ts';

const { kafkaBrokers } = testServers();

describe('the janitor', () => {
  it('deletes, on the node that comes first, the inboxes of nodes that are gone for long enough', async () => {
    const port = createPlatformaticPort({ brokers: kafkaBrokers, clientId: 'test' });
    const admin = port.admin();
    const namespace = uniqueName('janitor');
    const names = new TopicNames(`MOL-${namespace}`);
    const ids = ['a', 'b', 'gone'] as const;
    const [a, b, gone] = ids.map((nodeId) =>
      testNode(nodeId, namespace, { connection: { brokers: kafkaBrokers } }, { heartbeatTimeout: 60 }),
    );
    const nodes = [a!, b!, gone!];
    const clock = { nowMs: 0 };
    const janitors = [a!, b!].map(
      ({ broker }) => new Janitor({ deleteAfterMs: 600_000, port, names, broker, nowMs: () => clock.nowMs }),
    );
    const sweep = async () => [await janitors[1]!.sweep(), await janitors[0]!.sweep()];
    try {
      await Promise.all(nodes.map(({ broker }) => broker.start()));
      await allMet(nodes);
      expect(await sweep()).toEqual([[], []]);
      await gone!.broker.stop();
      await until('the stop is seen', 20_000, () =>
        [a!, b!].every(({ broker }) => broker.registry.nodes.get('gone')?.available === false),
      );
      expect(await sweep()).toEqual([[], []]);
      clock.nowMs = 599_999;
      expect(await sweep()).toEqual([[], []]);
      clock.nowMs = 600_000;
      expect(await sweep()).toEqual([[], [names.inbox('gone')]]);
      // the controller has deleted it; the broker that is asked hears of it a moment later
      await until('the deletion is seen', 20_000, async () => {
        const topics = (await admin.listTopics()).filter((topic) => topic.includes(namespace.replace('_', '_5f')));
        expect(topics).toEqual([names.all, names.inbox('a'), names.inbox('b')]);
        return true;
      });
    } finally {
      for (const janitor of janitors) janitor.stop();
      await stopAll([a!, b!]);
      await admin.deleteTopics([names.all, ...ids.map((id) => names.inbox(id))]);
      await admin.close();
    }
  });
});

import { afterEach, describe, expect, it } from '@jest/globals';
import moleculer from 'moleculer';
import { systemClock } from '../clock/clock.ts';
import { eventually } from '../testing/until.ts';
import { relayMetricNames } from './moleculer-metrics.ts';
import { RelayService } from './relay-service.ts';
import { FakeDatabase } from './testing/fake-database.ts';
import { FakeKafka } from './testing/fake-kafka.ts';

const database = new FakeDatabase(systemClock);
const kafka = new FakeKafka(systemClock);
const broker = new moleculer.ServiceBroker({
  nodeID: 'relay-7',
  logger: false,
  metrics: { enabled: true, reporter: [] },
});

afterEach(() => broker.stop());

describe('the Moleculer service', () => {
  it('relays after a nudge, answers its status, counts, and keeps its options from other nodes', async () => {
    broker.createService(
      RelayService({
        relay: (service) => ({
          sources: [{ name: 'like', url: 'mysql://user:secret@h/d', store: database.store(service.broker.nodeID) }],
          kafka: kafka.port(),
          longestPollMs: 60_000,
          shortestPollMs: 60_000,
        }),
      }),
    );
    await broker.start();
    await eventually(() => database.leases.every(({ owner }) => owner?.startsWith('relay-7/')));
    await broker.broadcast('outbox.nudge', { source: 'like' });
    await broker.broadcast('outbox.nudge', { source: 'nobody', buckets: 'x' });
    await eventually(() => database.calls.filter(({ call }) => call === 'readFirst').length >= 1);
    database.insert(3);
    await broker.broadcast('outbox.nudge', { source: 'like', buckets: [3] });
    await eventually(() => database.pending.size === 0);

    const status = await broker.call<{ sources: { source: string; state: string; buckets: { epoch: number }[] }[] }>(
      'relay.status',
    );
    expect(status).toMatchObject({
      delivery: 'at-least-once',
      sources: [{ source: 'like', state: 'running', backlog: { pending: 0 }, oldestUnsentAgeMs: 0 }],
    });
    expect(status.sources[0]!.buckets).toHaveLength(8);
    expect(status.sources[0]!.buckets[3]).toMatchObject({ heldHere: true, epoch: 1, abandoned: false });
    await expect(broker.call('relay.status', { more: 1 })).rejects.toMatchObject({ code: 422 });
    expect(await broker.call('relay.health')).toMatchObject({ state: 'up' });
    const service = broker.getLocalService('relay') as unknown as { readiness(): unknown };
    expect(service.readiness()).toEqual([{ name: 'relay like', ready: true }]);

    const published = broker.metrics.getMetric(relayMetricNames.published) as unknown as {
      get(labels: object): { value: number };
    };
    expect(published.get({ source: 'like' }).value).toBe(1);
    expect(JSON.stringify(broker.getLocalNodeInfo())).not.toContain('secret');

    await broker.stop();
    expect(database.leases.every(({ owner }) => owner === null)).toBe(true);
  });
});

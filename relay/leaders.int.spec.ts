import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Type } from '@sinclair/typebox';
import { createCatalogue } from '../events/catalogue.ts';
import { defineEvent } from '../events/definition.ts';
import { createInbox } from '../inbox/inbox.ts';
import { mysqlStore } from '../inbox/store/mysql.ts';
import { testDatabase, writesEffects } from '../inbox/testing/database.ts';
import { eventually } from '../testing/until.ts';
import type { DeliveryMode } from './options.ts';
import { createRelay } from './relay.ts';
import { createMysqlStore } from './sources/mysql-store.ts';
import { believing } from './testing/believing.ts';
import { type LeadersResult, leadersUnderFire } from './testing/leaders.ts';
import { openRealSource } from './testing/real-source.ts';

const leaseMs = 3_000;
const modes: readonly DeliveryMode[] = ['at-least-once', 'exactly-once'];

describe('three relay processes', () => {
  const results = new Map<DeliveryMode, Promise<LeadersResult>>();
  beforeAll(() => {
    for (const delivery of modes) {
      const result = leadersUnderFire({ delivery, leaseMs, rounds: 1 });
      result.catch(() => undefined);
      results.set(delivery, result);
    }
  });
  afterAll(() => Promise.allSettled(results.values()), 240_000);

  it.each(modes)(
    'take over from one that is killed, and one that is stopped and woken does no harm: %s',
    async (mode) => {
      const { killTakeoversMs, stopTakeoversMs, wrong, events, doubled } = await results.get(mode)!;
      expect(wrong).toEqual([]);
      expect(events).toBeGreaterThan(200);
      if (mode === 'exactly-once') expect(doubled).toBe(0);
      // the figure is the lease and 2 s: relay/leaders.long.spec.ts
      for (const tookMs of [...killTakeoversMs, ...stopTakeoversMs]) expect(tookMs).toBeLessThan(3 * (leaseMs + 2_000));
    },
    240_000,
  );
});

describe('without leases', () => {
  const catalogue = createCatalogue([
    defineEvent({
      ...{ type: 'ArticleLiked', schemaVersion: 1, source: 'like', aggregateType: 'article' },
      payload: Type.Object({ articleId: Type.String(), version: Type.Integer() }),
    }),
  ]);

  it('at-least-once, where every relay believes that it has all: nothing is lost, and effects are once and in order', async () => {
    const [source, database] = await Promise.all([openRealSource(), testDatabase()]);
    const relays = ['a', 'b', 'c'].map((id) => {
      const store = createMysqlStore({ url: source.url, leaseTimeoutMs: 5_000 });
      const relay = createRelay({
        ...{ id, topicPrefix: source.topicPrefix, kafka: source.kafka, leaseMs, batchSize: 50, longestPollMs: 50 },
        sources: [{ name: 'like', url: source.url, store: believing(store, () => relay.id) }],
      });
      return relay;
    });
    const inbox = createInbox({
      ...{ group: 'effects', groupId: source.topicPrefix, mode: 'sequence', topics: [source.topic], catalogue },
      handlers: { '*': writesEffects },
      store: mysqlStore({ database: database.pool(), consumer: 'effects', mode: 'sequence' }),
      kafka: source.kafka,
      maxWaitMs: 100,
    });
    try {
      await Promise.all([...relays.map((relay) => relay.start()), inbox.start()]);
      const keys = Array.from({ length: 30 }, (_, index) => String(index + 1));
      for (let version = 1; version <= 30; version++) {
        await source.write(keys.map((key) => ({ key, version })));
        for (const relay of relays) relay.nudge('like');
      }
      await eventually(async () => (await source.unsent()) === 0);
      await eventually(async () => (await database.effects()).length >= 900, 120_000, 50);
      await Promise.all([...relays.map((relay) => relay.stop()), inbox.stop()]);
      const effects = await database.effects();
      for (const key of keys) {
        const versions = effects.filter((what) => what.startsWith(`${key}.`));
        expect(versions).toEqual(Array.from({ length: 30 }, (_, index) => `${key}.${index + 1}`));
      }
      expect((await source.messages()).length).toBeGreaterThan(900); // they did work beside each other
    } finally {
      await Promise.all([...relays.map((relay) => relay.stop()), inbox.stop()]);
      await Promise.all([source.drop(), database.close()]);
    }
  });
});

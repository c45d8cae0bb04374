import { afterAll, beforeAll, expect } from '@jest/globals';
import moleculer, { type ServiceBroker } from 'moleculer';
import type { Config } from '../../../config/load.ts';
import { boardSources } from '../../../events/board.ts';
import { TcpProxy } from '../../../faults/proxy/proxy.ts';
import { topicPartitions } from '../../../migrations/topics.ts';
import { daysToKeep } from '../../../ranking/windows.ts';
import { soon } from '../../../testing/until.ts';
import { JsonSchemaValidator } from '../../../validation/validator.ts';
import type { LagReport } from '../../hot-article/consumer-lag.ts';
import type { Projector } from '../../hot-article/projector.ts';
import * as make from '../../hot-article/testing/events.ts';
import { createHarness, type Harness } from '../../hot-article/testing/harness.ts';
import { type HotList, hotListService } from '../schema.ts';

interface EdgeOptions {
  config?: Partial<Config>;
  sources?: readonly string[];
  /** Age of the oldest unsent event of each source. */
  unsentMs?: () => number | Promise<number>;
}

/** Nodes with the hot list on real servers, and what a projector tells them, for a test file. */
export function useEdges() {
  const given = {} as { harness: Harness; projector: Projector };
  const brokers: ServiceBroker[] = [];
  const proxies: TcpProxy[] = [];

  beforeAll(async () => {
    given.harness = await createHarness();
    given.projector = given.harness.projector({ keptDays: daysToKeep(given.harness.config.hotDays) });
    await given.projector.healer.heal();
  });
  afterAll(async () => {
    await Promise.all(brokers.map((broker) => broker.stop()));
    await Promise.all(proxies.map((proxy) => proxy.refuse()));
    await given.harness.close();
  });

  /** What a projector says that has all partitions. */
  const lagOf = (ms: number): LagReport => ({
    partitions: Object.fromEntries(
      boardSources.flatMap((source) =>
        Array.from({ length: topicPartitions }, (_, index) => [`${given.harness.namespace}.${source}/${index}`, ms]),
      ),
    ),
    unwrittenMs: 0,
  });

  return Object.assign(given, {
    lagOf,

    /** A node with the hot list and producers that only tell their lag. */
    async edge({ config, sources = boardSources, unsentMs = () => 0 }: EdgeOptions = {}): Promise<ServiceBroker> {
      const broker = new moleculer.ServiceBroker({
        logger: process.env.TEST_LOGS ? { type: 'Console' } : false,
        validator: new JsonSchemaValidator(),
      });
      brokers.push(broker);
      broker.createService(hotListService({ ...given.harness.config, ...config }));
      for (const name of sources) {
        const outboxLag = async () => ({ oldestUnsentAgeMs: await unsentMs() });
        broker.createService({ name, actions: { outboxLag } });
      }
      await broker.start();
      return broker;
    },

    async proxyTo(url: string): Promise<{ url: string; proxy: TcpProxy }> {
      const target = new URL(url);
      const proxy = await TcpProxy.start({ target: { host: target.hostname, port: Number(target.port) } });
      proxies.push(proxy);
      target.port = String(proxy.port);
      return { url: target.href, proxy };
    },

    /**
     * Asks until the answer is so. What the projector tells is trusted for 3 s and waited for 100 ms, so on a busy machine any
     * answer may be `syncing`, or be without a lag.
     */
    answers(ask: () => Promise<HotList>, expected: object, lagMs = 0): Promise<HotList> {
      return soon('the answer', async () => {
        await given.projector.store.publishLag('node-1', JSON.stringify(lagOf(lagMs)), 60_000);
        const answer = await ask();
        expect(answer).toMatchObject(expected);
        return answer;
      });
    },

    created: (articleId: string, fields: Parameters<typeof make.created>[2] = {}) =>
      make.created(articleId, 1, { createdAt: given.harness.at(), ...fields }),
  });
}

export const top = (broker: ServiceBroker, params: object = {}) => broker.call<HotList, object>('hot-list.top', params);

/** A list is given again for 20 ms. */
export const pastTheCache = () => new Promise((resolve) => setTimeout(resolve, 30));

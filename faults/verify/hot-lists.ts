import { Redis } from 'ioredis';
import moleculer from 'moleculer';
import { kafkaConnectionOf } from '../../kafka/connection.ts';
import { daysIn } from '../../ranking/days.ts';
import type { RecountItem } from '../../services/hot-article/recount.ts';
import { generationPrefix, storeKeys } from '../../services/hot-article/store-keys.ts';
import type { Comparison } from '../../sim/history.ts';
import { until } from '../../testing/until.ts';
import { KafkaTransporter } from '../../transporter/kafka-transporter.ts';
import { recountHotList } from '../recount.ts';
import type { World } from '../world/world.ts';

/** The most that a gateway gives. */
const longestList = 100;
const settledWithinMs = 30_000;

interface HotList {
  items: RecountItem[];
  syncing: boolean;
}

/**
 * What readers of each gateway are shown and what Redis has, beside a count of the producers' own tables and beside what a
 * rebuild from MySQL comes to. Waits a while for the lists to be in sync: what differs then, differs.
 */
export async function compareHotLists(world: World): Promise<{ recounts: Comparison[]; redis: Comparison[] }> {
  const { config } = world;
  let counted: RecountItem[] = [];
  let top: RecountItem[] = [];
  const shown = new Map<string, HotList>();
  const look = async () => {
    // each time: the last views may be written late
    counted = await recountHotList(config, 1_000_000);
    top = counted.slice(0, longestList).map(sameOrder);
    for (const gateway of world.gateways) {
      const path = `/v1/hot-articles?limit=${longestList}`;
      const { body } = await world.client.request<HotList>('GET', path, { gateway });
      shown.set(gateway, { ...body, items: body.items.map(sameOrder) });
    }
    return [...shown.values()].every(({ items, syncing }) => !syncing && JSON.stringify(items) === JSON.stringify(top));
  };
  await until('the hot lists are settled', settledWithinMs, look, 250).catch(() => undefined);
  const recounts: Comparison[] = world.gateways.map((gateway, index) => ({
    name: `hot list of edge ${index + 1}`,
    shown: { items: shown.get(gateway)?.items, syncing: shown.get(gateway)?.syncing },
    counted: { items: top, syncing: false },
  }));
  const scores = counted.map(({ articleId, score }) => [articleId, score]);
  const before = await readRedis(world);
  recounts.push({ name: 'today in Redis', shown: before, counted: scores });
  await rebuild(world);
  return { recounts, redis: [{ name: 'today', shown: before, counted: await readRedis(world) }] };
}

/** Fields in one order, so that texts can be compared. */
function sameOrder({ rank, articleId, title, score, likes, comments, views }: RecountItem): RecountItem {
  return { rank, articleId, title, score, likes, comments, views };
}

/** Today's sorted set, best first, as pairs of article and score. */
async function readRedis({ config }: World): Promise<[string, number][]> {
  const redis = new Redis(config.redisUrl!);
  try {
    const day = daysIn(config.timeZone).dayOf(new Date());
    const keys = storeKeys(config.namespace);
    const generation = await redis.hget(keys.generations, `live:${day}`);
    const flat = await redis.zrevrange(`${generationPrefix(keys, day, generation ?? '')}all`, 0, -1, 'WITHSCORES');
    const pairs: [string, number][] = [];
    for (let at = 0; at < flat.length; at += 2) pairs.push([flat[at]!.replace(/^0+/, ''), Number(flat[at + 1])]);
    return pairs;
  } finally {
    redis.disconnect();
  }
}

/** As an operator would do it: by the action, over Kafka. */
async function rebuild({ config, brokers }: World): Promise<void> {
  const broker = new moleculer.ServiceBroker({
    namespace: config.namespace,
    nodeID: 'faults',
    logger: false,
    transporter: new KafkaTransporter({ connection: kafkaConnectionOf(config, brokers) }),
  });
  await broker.start();
  try {
    await broker.waitForServices('hot-article', 30_000, 100);
    await broker.call('hot-article.rebuild', {}, { timeout: 60_000 });
  } finally {
    await broker.stop();
  }
}

import { until } from '../../testing/until.ts';
import { kafkaApi, watchRequests } from '../proxy/kafka-requests.ts';
import type { FaultNode, World } from '../world/world.ts';

/**
 * Stops a node's statements right before the first that contains `text`: neither it nor anything later reaches MySQL. Answers the
 * statement, or null where none came in time.
 */
export function holdBeforeStatement(node: FaultNode, text: string, limitMs: number): Promise<string | null> {
  return new Promise((resolve) => {
    const limit = setTimeout(() => end(null), limitMs);
    const end = (statement: string | null) => {
      clearTimeout(limit);
      node.inspect.mysql = null;
      resolve(statement);
    };
    node.inspect.mysql = (chunk, direction) => {
      if (direction !== 'requests' || !chunk.includes(text)) return;
      node.mysql.set({ mode: 'hold', direction: 'requests' });
      end(chunk.toString('latin1'));
    };
  });
}

/** Stops a node's requests to Kafka right before its next commit of an offset. False where none came in time. */
export function holdBeforeOffsetCommit(node: FaultNode, limitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const limit = setTimeout(() => end(false), limitMs);
    const end = (held: boolean) => {
      clearTimeout(limit);
      node.inspect.kafka = null;
      resolve(held);
    };
    // connections that are open already: their reader begins in the middle, but requests are sent whole
    node.inspect.kafka = watchRequests((apiKey) => {
      if (apiKey !== kafkaApi.offsetCommit || node.inspect.kafka === null) return;
      node.kafka.set({ mode: 'hold', direction: 'requests' });
      end(true);
    });
  });
}

/** Counts chunks that go through a node's proxy to Kafka in one direction, until `stop` is called. */
export function countAnswers(node: FaultNode): () => number {
  let count = 0;
  node.inspect.kafka = (_chunk, direction) => {
    if (direction === 'answers') count++;
  };
  return () => {
    node.inspect.kafka = null;
    return count;
  };
}

/** The buckets that a relay has. */
export async function bucketsOf(world: World, relay: string): Promise<string[]> {
  return [...(await world.truth.holders())].filter(([, holder]) => holder === relay).map(([bucket]) => bucket);
}

/** Each relay has a part of the buckets. */
export async function untilShared(world: World): Promise<void> {
  await until(
    'both relays have buckets',
    60_000,
    async () => {
      const holders = await world.truth.holders();
      const names = new Set(holders.values());
      return (
        holders.size === 4 * world.config.buckets &&
        world.those('relay').every(({ process }) => names.has(process.name))
      );
    },
    200,
  );
}

/** The term of each bucket. */
export async function termsOf(world: World): Promise<Map<string, number>> {
  return new Map((await world.truth.leases()).map(({ source, bucket, epoch }) => [`${source}.${bucket}`, epoch]));
}

/** Each of these buckets has an owner in a later term: another relay, or this one's next life. */
export async function untilTakenFrom(
  world: World,
  relay: string,
  buckets: readonly string[],
  before: ReadonlyMap<string, number>,
  limitMs: number,
): Promise<void> {
  await until(
    `${relay}'s buckets are taken over`,
    limitMs,
    async () => {
      const [holders, terms] = [await world.truth.holders(), await termsOf(world)];
      return buckets.every((bucket) => holders.has(bucket) && terms.get(bucket)! > before.get(bucket)!);
    },
    150,
  );
}

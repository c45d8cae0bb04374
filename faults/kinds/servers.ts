import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type Fault, nothing } from './kind.ts';

/** Every answer of MySQL is half a second late; then connections are reset at COMMIT, by turns before and after it arrives. */
export const databaseSlowThenReset: Fault = async ({ world, random, load, say }) => {
  const result = nothing();
  const nodes = [...world.nodes.values()];
  const slowMs = random.whole(5_000, 8_000);
  const before = load.records.length;
  for (const { mysql } of nodes) mysql.set({ mode: 'delay', ms: 250 });
  say(`MySQL answers 500 ms late for ${slowMs} ms`);
  await pause(slowMs);
  const slow = load.records.slice(before).filter(({ invokedMs, answeredMs }) => answeredMs - invokedMs >= 500).length;
  for (const { mysql } of nodes) mysql.set({ mode: 'pass' });

  const wanted = 12;
  let resets = 0;
  const limitMs = Date.now() + 20_000;
  say(`connections are reset at COMMIT, ${wanted} times`);
  await new Promise<void>((resolve) => {
    const done = setInterval(() => {
      if (resets < wanted && Date.now() < limitMs) return;
      clearInterval(done);
      for (const node of nodes) node.inspect.mysql = null;
      resolve();
    }, 100);
    for (const node of nodes) {
      let lastMs = 0;
      node.inspect.mysql = (chunk, direction) => {
        if (direction !== 'requests' || resets >= wanted || !chunk.includes('COMMIT')) return;
        if (Date.now() - lastMs < 800) return;
        lastMs = Date.now();
        resets++;
        // odd: it never arrives; even: it does, and its answer does not
        if (resets % 2 === 1) node.mysql.cut();
        else setTimeout(() => node.mysql.cut(), 0);
      };
    }
  });
  result.moments.push({ kind: 'back', atMs: Date.now(), what: 'database' });
  result.seen.push(`${slow} answers took 500 ms and more, ${resets} connections were reset at COMMIT`);
  if (slow > 0 && resets > 0) result.hits++;
  return result;
};

/** The one broker dies and stays away for some seconds. Producers go on, the outboxes fill. */
export const brokerKilled: Fault = async ({ world, random, load, say }) => {
  const result = nothing();
  const broker = world.stack.server('kafka');
  const forMs = random.whole(6_000, 12_000);
  const before = load.records.length;
  await broker.kill();
  say(`the broker is killed, for ${forMs} ms`);
  await pause(forMs);
  const answered = load.records.slice(before).filter(({ outcome }) => outcome === 'ok').length;
  const unsent = await world.truth.unsent();
  await broker.start();
  result.moments.push({ kind: 'back', atMs: Date.now(), what: 'broker' });
  result.seen.push(`${unsent} events waited, ${answered} calls were answered meanwhile`);
  if (unsent > 0) result.hits++;
  return result;
};

/** Redis dies and comes back empty: lists are built anew from MySQL; views that were not yet written are lost, as documented. */
export const redisEmptied: Fault = async ({ world, random, load, say }) => {
  const result = nothing();
  const redis = world.stack.server('redis');
  const forMs = random.whole(2_000, 5_000);
  const before = load.records.length;
  const keys = await emptied(world.config.redisUrl!, false);
  await redis.kill();
  say(`Redis is killed, for ${forMs} ms, and emptied`);
  await pause(forMs);
  const reads = load.records.slice(before).filter(({ kind }) => kind === 'read');
  await redis.start();
  await emptied(world.config.redisUrl!, true);
  const good = reads.filter(({ outcome }) => outcome === 'ok').length;
  result.seen.push(
    `${keys} keys were there before; ${good} of ${reads.length} reads of the hot list were answered meanwhile`,
  );
  if (keys > 0 && redis.pid !== null) result.hits++;
  return result;
};

/** The number of keys; takes them away where it is asked to. */
async function emptied(url: string, flush: boolean): Promise<number> {
  const client = new Redis(url, { maxRetriesPerRequest: 5 });
  client.on('error', () => {});
  try {
    const keys = await client.dbsize();
    if (flush) await client.flushall();
    return keys;
  } finally {
    client.disconnect();
  }
}

function someDie(dead: readonly string[]): Fault {
  return async ({ world, random, load, say }) => {
    const result = nothing();
    const brokers = dead.map((name) => world.stack.server(name as 'kafka-1'));
    const forMs = random.whole(10_000, 15_000);
    const before = { calls: load.records.length, marks: await marks() };
    await Promise.all(brokers.map((broker) => broker.kill()));
    say(`${dead.join(' and ')} killed, for ${forMs} ms`);
    await pause(forMs);
    const sent = (await marks()) - before.marks;
    const unsent = await world.truth.unsent();
    const answered = load.records.slice(before.calls).filter(({ outcome }) => outcome === 'ok').length;
    await Promise.all(brokers.map((broker) => broker.start()));
    result.moments.push({ kind: 'back', atMs: Date.now(), what: 'broker' });
    result.seen.push(
      `meanwhile ${sent} events were sent, ${unsent} waited at the end, ${answered} calls were answered`,
    );
    // one of three: two in sync are enough, so events go on; two of three: nothing may be acknowledged
    if (dead.length === 1 ? sent > 0 : unsent > 0) result.hits++;
    return result;

    async function marks(): Promise<number> {
      const [row] = await world.truth.rows<{ n: string }>(`SELECT COUNT(*) AS n FROM ${world.truth.table('mark')}`);
      return Number(row!.n);
    }
  };
}

/** Topics have three copies and two must have a message: with two brokers left everything goes on. */
export const oneOfThreeKilled: Fault = (context) => someDie([`kafka-${context.random.whole(1, 3)}`])(context);

/** With one broker left nothing is acknowledged any more: producers go on, the outboxes fill. */
export const twoOfThreeKilled: Fault = (context) => {
  const left = context.random.whole(1, 3);
  return someDie([1, 2, 3].filter((id) => id !== left).map((id) => `kafka-${id}`))(context);
};

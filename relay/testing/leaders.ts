import { setTimeout as pause } from 'node:timers/promises';
import type { RowDataPacket } from 'mysql2/promise';
import { headerNames } from '../../events/envelope.ts';
import { testServers } from '../../testing/servers.ts';
import { eventually } from '../../testing/until.ts';
import type { DeliveryMode } from '../options.ts';
import { openRealSource, type RealSource } from './real-source.ts';
import { forkRelay, type RelayChild } from './relay-child.ts';
import { wrongVersions } from './versions.ts';

export interface LeadersResult {
  /** From the kill, or the stop, until the others had all of its buckets, in ms. */
  killTakeoversMs: number[];
  stopTakeoversMs: number[];
  /** What may not be, in words. */
  wrong: string[];
  events: number;
  /** Events that are in the topic more than once; allowed in at-least-once only. */
  doubled: number;
}

const keys = Array.from({ length: 24 }, (_, index) => String(index + 1));

/**
 * Three relay processes under load. In each round an owner is killed by kill -9 (and a new one comes), and another is
 * stopped for twice the lease and woken.
 */
export async function leadersUnderFire(options: {
  delivery: DeliveryMode;
  leaseMs: number;
  rounds: number;
  log?(line: string): void;
}): Promise<LeadersResult> {
  const { delivery, leaseMs, rounds, log } = options;
  const source = await openRealSource();
  const load = new Load(source);
  const result: LeadersResult = { killTakeoversMs: [], stopTakeoversMs: [], wrong: [], events: 0, doubled: 0 };
  const relays: RelayChild[] = [];
  let born = 0;
  const another = async () => {
    const { url, topicPrefix } = source;
    const brokers = testServers().kafkaBrokers;
    const relay = forkRelay({ id: `r${++born}`, url, topicPrefix, brokers, delivery, leaseMs, batchSize: 100 });
    relays.push(relay);
    await relay.start();
  };
  try {
    await Promise.all([another(), another(), another()]);
    load.start();
    for (let round = 1; round <= rounds; round++) {
      await eventually(() => isShared(source, relays), 60_000 + leaseMs, 100);
      const victim = relays.shift()!;
      victim.signal('SIGKILL');
      result.killTakeoversMs.push(await takeover(source, victim, leaseMs));

      const sleeper = relays.shift()!;
      sleeper.signal('SIGSTOP');
      const stoppedMs = performance.now();
      result.stopTakeoversMs.push(await takeover(source, sleeper, leaseMs));
      await pause(Math.max(0, 2 * leaseMs - (performance.now() - stoppedMs)));
      const saidBefore = sleeper.said.length;
      sleeper.signal('SIGCONT');
      relays.push(sleeper);
      await another();
      await eventually(() => isShared(source, relays), 60_000 + leaseMs, 100);
      result.wrong.push(...(await wrongOf(source, delivery, sleeper, saidBefore)));
      log?.(`round ${round}: ${result.killTakeoversMs.at(-1)} and ${result.stopTakeoversMs.at(-1)} ms`);
    }
    const expected = await load.stop();
    await eventually(async () => (await source.unsent()) === 0, 60_000, 100);
    await Promise.all(relays.map((relay) => relay.stop()));
    const found = await source.versions();
    result.wrong.push(...wrongVersions(found, expected, { once: delivery === 'exactly-once' }));
    result.events = [...expected.values()].reduce((sum, count) => sum + count, 0);
    result.doubled = [...found.values()].reduce((sum, { length }) => sum + length, 0) - result.events;
    return result;
  } catch (cause) {
    const log = relays.flatMap(({ id, said }) =>
      said.flatMap((one) => (one.kind === 'log' ? [`${id}: ${one.line}`] : [])),
    );
    throw new Error(`${(cause as Error).message}\n${log.slice(-40).join('\n')}`, { cause });
  } finally {
    await load.stop();
    for (const relay of relays) relay.signal('SIGCONT');
    await Promise.all(relays.map((relay) => relay.stop()));
    await source.drop();
  }
}

/** Every key gets its next version, again and again. */
class Load {
  readonly #source: RealSource;
  readonly #written = new Map<string, number>();
  #stopping = false;
  #running: Promise<void> = Promise.resolve();

  constructor(source: RealSource) {
    this.#source = source;
  }

  start(): void {
    this.#running = (async () => {
      for (let version = 1; !this.#stopping; version++) {
        await this.#source.write(keys.map((key) => ({ key, version })));
        for (const key of keys) this.#written.set(key, version);
        await pause(100);
      }
    })();
  }

  async stop(): Promise<ReadonlyMap<string, number>> {
    this.#stopping = true;
    await this.#running;
    return this.#written;
  }
}

/** All buckets are owned, and each of these has two or three of the eight. */
async function isShared(source: RealSource, relays: readonly RelayChild[]): Promise<boolean> {
  const leases = await source.leases();
  return relays.every(({ id }) => [2, 3].includes(leases.filter(({ owner }) => owner === id).length));
}

/** Ms until somebody else has all of the buckets that this one had. */
async function takeover(source: RealSource, from: RelayChild, leaseMs: number): Promise<number> {
  const startedMs = performance.now();
  const had = (await source.leases()).filter(({ owner }) => owner === from.id).map(({ bucket }) => bucket);
  const isTaken = async () => {
    const leases = await source.leases();
    return had.every((bucket) => ![null, from.id].includes(leases[bucket]!.owner));
  };
  await eventually(isTaken, leaseMs + 20_000, 25);
  return Math.round(performance.now() - startedMs);
}

/** What one that was woken after its leases were over did until it was elected again, and what it deleted at all. */
async function wrongOf(
  source: RealSource,
  delivery: DeliveryMode,
  sleeper: RelayChild,
  saidBefore: number,
): Promise<string[]> {
  const wrong: string[] = [];
  const published = new Set<string>();
  const deleted: string[] = [];
  /** Begun after it was woken and before it was elected again: none of it may be committed. */
  const late = new Set<string>();
  let elected = false;
  for (const [at, message] of sleeper.said.entries()) {
    if (message.kind === 'log' && at >= saidBefore && message.line.includes('mine from now on')) elected = true;
    if (message.kind === 'sending' && at >= saidBefore && !elected) for (const id of message.eventIds) late.add(id);
    if (message.kind === 'published') {
      for (const event of message.eventIds) published.add(digitsOf(event));
      if (!elected && message.eventIds.some((id) => late.has(id))) wrong.push('published after it was woken');
    }
    if (message.kind === 'deleted' && at >= saidBefore && message.removed > 0) deleted.push(...message.ids);
  }
  const notSent = await unsentAmong(deleted, published, source, delivery);
  return [...wrong, ...notSent.map((id) => `deleted row ${id}, which was not sent`)];
}

/** Rows that it did not publish, nor the one whose bucket it took: that left them in its position, in exactly-once only. */
async function unsentAmong(
  ids: readonly string[],
  published: ReadonlySet<string>,
  source: RealSource,
  delivery: DeliveryMode,
): Promise<string[]> {
  const [rows] = await source.pool.query<RowDataPacket[]>('SELECT id, LOWER(HEX(event_id)) AS event FROM outbox');
  const eventOf = new Map(rows.map(({ id, event }) => [String(id), String(event)]));
  const unpublished = ids.filter((id) => !published.has(eventOf.get(id)!));
  if (delivery !== 'exactly-once' || unpublished.length === 0) return unpublished;
  const messages = await source.messages();
  const inTopic = new Set(messages.map(({ headers }) => digitsOf(String(headers[headerNames.id]))));
  return unpublished.filter((id) => !inTopic.has(eventOf.get(id)!));
}

function digitsOf(eventId: string): string {
  return eventId.replaceAll('-', '');
}

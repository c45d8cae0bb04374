import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { RowDataPacket } from 'mysql2/promise';
import { envelopeOf } from '../../events/envelope.ts';
import { bucketOf, keyHashOf } from '../../outbox/keys.ts';
import { eventually } from '../../testing/until.ts';
import type { RelayOptions } from '../relay.ts';
import { createMysqlStore } from '../sources/mysql-store.ts';
import { BlockedSource, bad, leaseMs, versionsOf } from '../testing/blocked-source.ts';
import type { RealSource } from '../testing/real-source.ts';

/** Of the same bucket as the bad one. */
const others = Array.from({ length: 200 }, (_, index) => `other-${index}`)
  .filter((key) => bucketOf(key, 8) === bucketOf(bad, 8))
  .slice(0, 10);
const round = (version: number) => others.map((key) => ({ key, version }));

let on: BlockedSource;
let source: RealSource;
beforeEach(async () => {
  on = await BlockedSource.open();
  ({ source } = on);
});
afterEach(() => on.close());

describe('a blocked key on real servers', () => {
  it('with 100,000 rows holds up no other key for more than one poll', async () => {
    const count = 100_000;
    for (let from = 1; from <= count; from += 5_000) {
      await source.write(versionsOf(from, from + 4_999).map((version) => ({ key: bad, version, payloadBytes: 1 })));
    }
    const [last] = await on.rows<{ id: string }>('SELECT MAX(id) AS id FROM outbox_pending');
    await source.write(round(1)); // behind all of them
    const pollMs = 12_000; // a busy machine takes two seconds for what takes a tenth of one
    await on.started('a', { longestPollMs: pollMs, leaseMs: 60_000 });
    const sent = async () => {
      const [row] = await on.rows<{ n: number }>('SELECT COUNT(*) AS n FROM outbox_pending WHERE id > ?', [last!.id]);
      return Number(row!.n) === 0;
    };
    await eventually(async () => (await on.blockedKey()) !== undefined);
    const waits = [await eventually(sent)];
    for (let version = 2; version <= 5; version++) {
      await source.write(round(version));
      waits.push(await eventually(sent));
    }
    expect(Math.max(...waits)).toBeLessThan(pollMs);
    await eventually(async () => (await on.unsentOf(1, bad)) === count, 120_000, 50);
    await on.write(bad, count + 1, count + 5); // written while it is blocked
    await eventually(async () => (await on.unsentOf(0, bad)) === 0);
    const versions = await source.versions();
    for (const key of others) expect(versions.get(key)).toEqual(versionsOf(1, 5));
    expect(versions.has(bad)).toBe(false);
  }, 300_000);

  it('is the only one that waits where part of a batch is refused', async () => {
    await source.write([...versionsOf(1, 3).map((version) => ({ key: bad, version })), ...round(1), ...round(2)]);
    await on.started('a');
    await eventually(async () => (await source.unsent()) === 3 && (await on.unsentOf(1, bad)) === 3);
    const versions = await source.versions();
    for (const key of others) expect(versions.get(key)).toEqual([1, 2]);
  });

  it('has its attempts counted through a takeover until it is dead', async () => {
    await on.write(bad, 1, 3);
    const first = await on.started('a', { maxAttempts: 6, leaseMs: 60_000 });
    await eventually(async () => ((await on.blockedKey())?.attempts ?? 0) >= 2);
    await first.stop();
    const { attempts: counted } = (await on.blockedKey())!;
    await on.started('b', { maxAttempts: 6, leaseMs: 60_000 });
    await eventually(async () => (await on.unsentOf(2, bad)) === 3);
    expect(counted).toBeGreaterThanOrEqual(2);
    expect(await on.blockedKey()).toEqual({ state: 2, attempts: 6 });
    expect(on.attempts).toBe(6);
  });

  it('is consistent after its owner died between two steps of blocking and of bringing back', async () => {
    let left = 1;
    const dying = (to: 'blocked' | 'pending', after: number) => {
      left = after;
      const store = createMysqlStore({ url: source.url, leaseTimeoutMs: 1_000 });
      return new Proxy(store, {
        get(target, name) {
          const call = target[name as keyof typeof target] as (...given: unknown[]) => Promise<unknown>;
          return async (...given: unknown[]) => {
            const isStep = name === 'moveRows' && given[2] === to;
            if (isStep && left === 0) left = -1;
            if (left < 0 && name !== 'close') return new Promise<never>(() => {});
            const answer = await call.apply(target, given);
            if (isStep) left--; // not one that was refused
            return answer;
          };
        },
      });
    };
    const one = (store: ReturnType<typeof dying>): Partial<RelayOptions> => ({
      sources: [{ name: 'like', url: source.url, topic: source.topic, store }],
      stopTimeoutMs: 100,
    });
    await on.write(bad, 1, 4_500);
    await on.started('a', one(dying('blocked', 1)));
    await eventually(async () => (await on.unsentOf(1, bad)) === 2_000);
    await eventually(() => left < 0);
    await on.started('b');
    await eventually(async () => (await on.unsentOf(1, bad)) === 4_500, leaseMs + 60_000);
    await on.relays.pop()!.stop();

    on.refused = () => false;
    await on.started('c', one(dying('pending', 1)));
    await eventually(() => left < 0);
    expect(await on.unsentOf(0, bad)).toBeGreaterThan(0);
    expect(await on.unsentOf(1, bad)).toBeGreaterThan(0);
    await on.write(bad, 4_501, 4_510);
    await on.started('d');
    await eventually(() => on.drained(), leaseMs + 60_000);
    expect((await source.versions()).get(bad)).toEqual(versionsOf(1, 4_510));
    await eventually(async () => (await on.blockedKey()) === undefined);
  }, 240_000);
});

describe('the fence', () => {
  it('keeps a former owner, and one whose lease is over, from changing anything', async () => {
    await on.write(bad, 1, 3);
    const bucket = bucketOf(bad, 8);
    const store = createMysqlStore({ url: source.url, leaseTimeoutMs: 20_000 });
    const lease =
      "UPDATE outbox_lease SET owner = 'x', epoch = 5, expires_at = UTC_TIMESTAMP(6) + INTERVAL ? SECOND WHERE bucket = ?";
    await source.pool.query(lease, [600, bucket]);
    const keyHash = keyHashOf(bad);
    const key = { keyHash, aggregateId: bad, state: 'blocked', attempts: 1, dueInMs: 0, rowId: '1' } as const;
    const steps = (owner: string, epoch: number) => {
      const fence = { bucket, owner, epoch };
      return [
        () => store.saveBlocked(fence, [{ ...key, errorCode: null, lastError: null }]),
        () => store.moveRows(fence, [keyHash], 'blocked', 10),
        () => store.skipEvent(fence, { keyHash, rowId: '1', who: owner, reason: 'r' }),
        () => store.forgetBlocked(fence, [keyHash]),
      ];
    };
    const isRefused = async (owner: string, epoch: number) => {
      for (const step of steps(owner, epoch)) await expect(step()).rejects.toMatchObject({ code: 'SOURCE_NOT_OWNER' });
    };
    await isRefused('x', 4);
    await isRefused('y', 5);
    for (const step of steps('x', 5).slice(0, 2)) await step();
    // What comes late is for a state that the key is no longer in.
    for (const state of ['pending', 'dead'] as const) {
      expect(await store.moveRows({ bucket, owner: 'x', epoch: 5 }, [keyHash], state, 10)).toBe(0);
    }
    await source.pool.query(lease, [-1, bucket]);
    await isRefused('x', 5);
    await store.close();
    expect(await on.unsentOf(1, bad)).toBe(3);
    expect(await on.blockedKey()).toMatchObject({ state: 1 });
    expect((await source.pool.query<RowDataPacket[]>('SELECT DISTINCT event_type AS t FROM outbox'))[0]).toHaveLength(
      1,
    );
  });
});

it('puts a Skipped event in the place of a dead one where keys are to go on, and writes down who did it', async () => {
  on.refused = (version) => version === 2;
  await on.write(bad, 1, 4);
  const relay = await on.started('a', { maxAttempts: 2, deadPolicy: 'skip-key' });
  await eventually(() => on.drained());
  const messages = (await source.messages()).map(envelopeOf);
  expect(messages.map(({ version, type }) => `${version} ${type}`)).toEqual([
    ...['1 ArticleLiked', '2 Skipped', '3 ArticleLiked', '4 ArticleLiked'],
  ]);
  expect(await on.rows('SELECT action, who, state FROM outbox_audit')).toEqual([
    { action: 'skip', who: relay.id, state: 'done' },
  ]);
});

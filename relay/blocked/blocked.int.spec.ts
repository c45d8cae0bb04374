import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Type } from '@sinclair/typebox';
import moleculer from 'moleculer';
import type { RowDataPacket } from 'mysql2/promise';
import { createCatalogue } from '../../events/catalogue.ts';
import { defineEvent } from '../../events/definition.ts';
import { envelopeOf } from '../../events/envelope.ts';
import { bucketOf, keyHashOf } from '../../outbox/keys.ts';
import type { RequestAnswer } from '../operator/operator.ts';
import { OutboxOperatorService } from '../operator/operator-service.ts';
import type { ShownEvent } from '../operator/store.ts';
import { createRelay, type Relay, type RelayOptions } from '../relay.ts';
import { createMysqlStore } from '../sources/mysql-store.ts';
import { eventually, openRealSource, type RealSource } from '../testing/real-source.ts';
import { refusing } from '../testing/refusing.ts';

const leaseMs = 2_000;
const bad = 'bad';
/** Of the same bucket as the bad one. */
const others = Array.from({ length: 200 }, (_, index) => `other-${index}`)
  .filter((key) => bucketOf(key, 8) === bucketOf(bad, 8))
  .slice(0, 10);
const versionsUpTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

let source: RealSource;
let relays: Relay[] = [];
let brokers: moleculer.ServiceBroker[] = [];
/** Versions of the bad key that the broker refuses. */
let refused: (version: number) => boolean;
let attempts: number;

beforeEach(async () => {
  source = await openRealSource();
  relays = [];
  brokers = [];
  attempts = 0;
  refused = () => true;
});
afterEach(async () => {
  await Promise.all(relays.map((relay) => relay.stop()));
  await Promise.all(brokers.map((broker) => broker.stop()));
  await source.drop();
});

async function started(id: string, options: Partial<RelayOptions> = {}): Promise<Relay> {
  const relay = createRelay({
    id,
    sources: [{ name: 'like', url: source.url, topic: source.topic }],
    kafka: refusing(source.kafka, ({ key, version, type }) => {
      const isRefused = key === bad && type !== 'Skipped' && refused(version);
      if (isRefused && version === 1) attempts++;
      return isRefused;
    }),
    leaseMs,
    longestPollMs: 200,
    retry: { firstMs: 50, longestMs: 200 },
    ...options,
  });
  relays.push(relay);
  await relay.start();
  return relay;
}

/** An operator's node without a relay. */
async function operatorNode() {
  const broker = new moleculer.ServiceBroker({ nodeID: 'ops-1', logger: false });
  brokers.push(broker);
  const liked = defineEvent({
    ...{ type: 'ArticleLiked', schemaVersion: 1, source: 'like', aggregateType: 'article' },
    payload: Type.Object({ articleId: Type.String(), version: Type.Integer() }),
  });
  const catalogue = createCatalogue([liked]);
  broker.createService(
    OutboxOperatorService({ operator: { sources: [{ name: 'like', url: source.url }], catalogue, waitMs: 10_000 } }),
  );
  await broker.start();
  return <Answer>(action: string, params: object) =>
    broker.call<Answer, object>(`outbox.${action}`, { source: 'like', ...params }, { meta: { user: { id: '42' } } });
}

const rows = async <Row>(sql: string, values: unknown[] = []) =>
  (await source.pool.query<RowDataPacket[]>(sql, values))[0] as unknown as Row[];
const drained = async () => (await source.unsent()) === 0;
const unsentOf = async (state: number, key: string) => {
  const sql = 'SELECT COUNT(*) AS n FROM outbox_pending WHERE state = ? AND key_hash = CAST(? AS UNSIGNED)';
  return Number((await rows<{ n: number }>(sql, [state, keyHashOf(key)]))[0]!.n);
};
const blockedKey = async () =>
  (await rows<{ state: number; attempts: number }>('SELECT state, attempts FROM outbox_blocked'))[0];
const batchOf = (key: string, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => ({ key, version: from + index }));
const round = (version: number) => others.map((key) => ({ key, version }));

describe('a blocked key on real servers', () => {
  it('with 100,000 rows holds up no other key for more than one poll', async () => {
    const count = 100_000;
    for (let from = 1; from <= count; from += 5_000) {
      await source.write(batchOf(bad, from, from + 4_999).map((event) => ({ ...event, payloadBytes: 1 })));
    }
    await source.write(round(1)); // behind all of them
    const pollMs = 2_000;
    await started('a', { longestPollMs: pollMs });
    const sent = async () => {
      const [row] = await rows<{ n: number }>(
        'SELECT COUNT(*) AS n FROM outbox_pending p JOIN outbox o ON o.id = p.id AND o.day = p.day WHERE o.aggregate_id <> ?',
        [bad],
      );
      return Number(row!.n) === 0;
    };
    await eventually(async () => (await blockedKey()) !== undefined, 10_000);
    const waits = [await eventually(sent, 20_000)];
    for (let version = 2; version <= 5; version++) {
      await source.write(round(version));
      waits.push(await eventually(sent, 20_000));
    }
    expect(Math.max(...waits)).toBeLessThan(pollMs);
    await eventually(async () => (await unsentOf(1, bad)) === count, 30_000, 50);
    await source.write(batchOf(bad, count + 1, count + 5)); // written while it is blocked
    await eventually(async () => (await unsentOf(0, bad)) === 0, 10_000);
    const versions = await source.versions();
    for (const key of others) expect(versions.get(key)).toEqual(versionsUpTo(5));
    expect(versions.has(bad)).toBe(false);
  }, 90_000);

  it('is the only one that waits where part of a batch is refused', async () => {
    await source.write([...batchOf(bad, 1, 3), ...round(1), ...round(2)]);
    await started('a');
    await eventually(async () => (await source.unsent()) === 3 && (await unsentOf(1, bad)) === 3, 10_000);
    const versions = await source.versions();
    for (const key of others) expect(versions.get(key)).toEqual([1, 2]);
  });

  it('has its attempts counted through a takeover until it is dead', async () => {
    await source.write(batchOf(bad, 1, 3));
    const first = await started('a', { maxAttempts: 6 });
    await eventually(async () => ((await blockedKey())?.attempts ?? 0) >= 2, 10_000);
    await first.stop();
    const { attempts: counted } = (await blockedKey())!;
    await started('b', { maxAttempts: 6 });
    await eventually(async () => (await unsentOf(2, bad)) === 3, 20_000);
    expect(counted).toBeGreaterThanOrEqual(2);
    expect(await blockedKey()).toEqual({ state: 2, attempts: 6 });
    expect(attempts).toBe(6);
  });

  it('is consistent after its owner died between two steps of blocking and of bringing back', async () => {
    let left = 1;
    const dying = (to: 'blocked' | 'pending', after: number) => {
      left = after;
      const store = createMysqlStore({ url: source.url, leaseTimeoutMs: 1_000 });
      return new Proxy(store, {
        get(target, name) {
          const call = target[name as keyof typeof target] as (...given: unknown[]) => Promise<unknown>;
          return (...given: unknown[]) => {
            if (name === 'moveRows' && given[2] === to) left--;
            return left < 0 && name !== 'close' ? new Promise<never>(() => {}) : call.apply(target, given);
          };
        },
      });
    };
    const one = (store: ReturnType<typeof dying>): Partial<RelayOptions> => ({
      sources: [{ name: 'like', url: source.url, topic: source.topic, store }],
      stopTimeoutMs: 100,
    });
    await source.write(batchOf(bad, 1, 4_500));
    await started('a', one(dying('blocked', 1)));
    await eventually(async () => (await unsentOf(1, bad)) === 2_000, 10_000);
    await eventually(() => left < 0, 5_000);
    await started('b');
    await eventually(async () => (await unsentOf(1, bad)) === 4_500, leaseMs + 10_000);
    await relays.pop()!.stop();

    refused = () => false;
    await started('c', one(dying('pending', 1)));
    await eventually(() => left < 0, 15_000);
    expect(await unsentOf(0, bad)).toBeGreaterThan(0);
    expect(await unsentOf(1, bad)).toBeGreaterThan(0);
    await source.write(batchOf(bad, 4_501, 4_510));
    await started('d');
    await eventually(drained, leaseMs + 15_000);
    expect((await source.versions()).get(bad)).toEqual(versionsUpTo(4_510));
    await eventually(async () => (await blockedKey()) === undefined, 5_000);
  }, 60_000);
});

describe('the fence', () => {
  it('keeps a former owner, and one whose lease is over, from changing anything', async () => {
    await source.write(batchOf(bad, 1, 3));
    const bucket = bucketOf(bad, 8);
    const store = createMysqlStore({ url: source.url, leaseTimeoutMs: 1_000 });
    const lease =
      "UPDATE outbox_lease SET owner = 'x', epoch = 5, expires_at = UTC_TIMESTAMP(6) + INTERVAL ? SECOND WHERE bucket = ?";
    await source.pool.query(lease, [60, bucket]);
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
    expect(await unsentOf(1, bad)).toBe(3);
    expect(await blockedKey()).toMatchObject({ state: 1 });
    expect((await source.pool.query<RowDataPacket[]>('SELECT DISTINCT event_type AS t FROM outbox'))[0]).toHaveLength(
      1,
    );
  });
});

describe('an operator on a node that is not the owner', () => {
  async function deadKey() {
    refused = (version) => version === 1;
    await source.write(batchOf(bad, 1, 3));
    await started('a', { maxAttempts: 2 });
    await eventually(async () => (await unsentOf(2, bad)) === 3, 15_000);
    const call = await operatorNode();
    const { events } = await call<{ events: ShownEvent[] }>('list', { state: 'dead' });
    return { call, events, id: events[0]!.id };
  }

  it('lists, shows, edits and retries, and each is audited with the user', async () => {
    const { call, events, id } = await deadKey();
    expect(events).toMatchObject([
      {
        ...{ key: bad, type: 'ArticleLiked', state: 'dead', version: '1' },
        blockedBy: { state: 'dead', attempts: 2, failingId: id, errorCode: 'KAFKA_MESSAGE_TOO_LARGE' },
      },
      { version: '2' },
      { version: '3' },
    ]);
    expect(await call('list', { key: bad, type: 'ArticleLiked', page: 2, pageSize: 2 })).toMatchObject({
      more: false,
      events: [{ version: '3' }],
    });
    expect(await call('list', { state: 'pending' })).toMatchObject({ events: [] });

    // retried, and refused by the broker again
    expect(await call<RequestAnswer>('retry', { all: true })).toMatchObject({ status: 'done', refused: [] });
    await eventually(async () => (await blockedKey())?.state === 2, 10_000);

    await expect(call('edit', { id, payload: { articleId: 5 }, reason: 'typo' })).rejects.toMatchObject({
      code: 422,
      type: 'OUTBOX_PAYLOAD_INVALID',
      message: expect.stringContaining('articleId must be string'),
    });
    await eventually(async () => (await unsentOf(2, bad)) === 3, 10_000);
    refused = () => false;
    const payload = { articleId: bad, version: 1, note: 'mended' };
    expect(await call('edit', { id, payload, reason: 'typo' })).toMatchObject({ status: 'done' });
    await eventually(drained, 10_000);
    const messages = (await source.messages()).filter(({ key }) => String(key) === bad).map(envelopeOf);
    expect(messages.map(({ version }) => Number(version))).toEqual([1, 2, 3]);
    expect(messages[0]).toMatchObject({ eventId: events[0]!.eventId, payload });

    const shown = await call<ShownEvent>('show', { id });
    expect(shown).toMatchObject({ state: 'sent', payload: JSON.stringify(payload), blockedBy: null });
    expect(shown.audit).toMatchObject([
      { action: 'edit', who: 'user 42', reason: 'typo', state: 'done', eventRow: id },
      { action: 'retry', who: 'user 42', state: 'done' },
    ]);
    const [audit] = await rows<{ before_event: Buffer; after_event: Buffer }>(
      "SELECT before_event, after_event FROM outbox_audit WHERE action = 'edit'",
    );
    expect(JSON.parse(String(audit!.before_event)).payload).toContain('"pad"');
    expect(JSON.parse(String(audit!.after_event)).payload).toBe(JSON.stringify(payload));
    await expect(call('drop', { id, reason: 'late' })).rejects.toMatchObject({
      code: 409,
      type: 'OUTBOX_EVENT_NOT_WAITING',
    });
  });

  it('drops an event: a Skipped one with its version is in its place, and the key goes on', async () => {
    const { call, events, id } = await deadKey();
    await expect(call('drop', { id })).rejects.toMatchObject({
      code: 422,
      type: 'OUTBOX_PARAMS_INVALID',
      message: 'The parameter reason is missing; allowed: text of 1 to 500 characters.',
    });
    expect(await call('drop', { id, reason: 'no such article' })).toMatchObject({ status: 'done' });
    await eventually(drained, 10_000);
    const messages = (await source.messages()).map(envelopeOf);
    expect(messages.map(({ version, type }) => `${version} ${type}`)).toEqual([
      '1 Skipped',
      '2 ArticleLiked',
      '3 ArticleLiked',
    ]);
    expect(messages[0]!.payload).toEqual({
      ...{ skippedEventId: events[0]!.eventId, skippedType: 'ArticleLiked', reason: 'no such article' },
    });
  });

  it('drops an event that the outbox no longer has, as what it belonged to is known from its version line', async () => {
    refused = () => false;
    await source.write(batchOf(bad, 1, 3));
    const hash = '(SELECT MIN(id) FROM outbox_pending)';
    await source.pool.query(`DELETE FROM outbox WHERE id = ${hash}`);
    await source.pool.query("INSERT INTO outbox_stream VALUES ('article', ?, 3)", [bad]);
    await started('a', { maxAttempts: 1 });
    await eventually(async () => (await unsentOf(2, bad)) === 3, 10_000);
    const call = await operatorNode();
    const { events } = await call<{ events: ShownEvent[] }>('list', {});
    expect(events[0]).toMatchObject({ eventId: null, blockedBy: { errorCode: 'EVENT_MISSING' } });
    expect(await call('drop', { id: events[0]!.id, reason: 'lost' })).toMatchObject({ status: 'done' });
    await eventually(drained, 10_000);
    expect((await source.versions()).get(bad)).toEqual([1, 2, 3]);
  });

  it('gets clear errors for what is not there or not allowed', async () => {
    const call = await operatorNode();
    const refusal = (type: string, message: string) => expect.objectContaining({ type, message });
    await expect(call('retry', {})).rejects.toEqual(
      refusal('OUTBOX_PARAMS_INVALID', 'Retry has none of id, key, all; allowed: exactly one.'),
    );
    await expect(call('list', { state: 'lost' })).rejects.toEqual(
      refusal('OUTBOX_PARAMS_INVALID', 'The parameter state is "lost"; allowed: pending, blocked, dead.'),
    );
    await expect(call('list', { pages: 2 })).rejects.toEqual(
      refusal(
        'OUTBOX_PARAMS_INVALID',
        'The parameter pages is unknown; allowed: source, state, key, type, page, pageSize.',
      ),
    );
    await expect(call('show', { source: 'like', id: '7' })).rejects.toMatchObject({ code: 404 });
    await expect(call('retry', { key: bad })).rejects.toMatchObject({ code: 409, type: 'OUTBOX_KEY_NOT_BLOCKED' });
    await expect(call('list', { source: 'x' })).rejects.toEqual(
      refusal('OUTBOX_SOURCE_UNKNOWN', 'The source "x" is unknown; known: like.'),
    );
  });
});

it('puts a Skipped event in the place of a dead one where keys are to go on, and writes down who did it', async () => {
  refused = (version) => version === 2;
  await source.write(batchOf(bad, 1, 4));
  const relay = await started('a', { maxAttempts: 2, deadPolicy: 'skip-key' });
  await eventually(drained, 15_000);
  const messages = (await source.messages()).map(envelopeOf);
  expect(messages.map(({ version, type }) => `${version} ${type}`)).toEqual([
    ...['1 ArticleLiked', '2 Skipped', '3 ArticleLiked', '4 ArticleLiked'],
  ]);
  expect(await rows('SELECT action, who, state FROM outbox_audit')).toEqual([
    { action: 'skip', who: relay.id, state: 'done' },
  ]);
});

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { envelopeOf } from '../../events/envelope.ts';
import { eventually } from '../../testing/until.ts';
import { BlockedSource, bad } from '../testing/blocked-source.ts';
import type { RealSource } from '../testing/real-source.ts';
import type { RequestAnswer } from './operator.ts';
import type { ShownEvent } from './store.ts';

let on: BlockedSource;
let source: RealSource;
beforeEach(async () => {
  on = await BlockedSource.open();
  ({ source } = on);
});
afterEach(() => on.close());

describe('an operator on a node that is not the owner', () => {
  async function deadKey() {
    on.refused = (version) => version === 1;
    await on.write(bad, 1, 3);
    await on.started('a', { maxAttempts: 2 });
    await eventually(async () => (await on.unsentOf(2, bad)) === 3);
    const call = await on.operatorNode();
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
    await eventually(async () => (await on.blockedKey())?.state === 2);

    await expect(call('edit', { id, payload: { articleId: 5 }, reason: 'typo' })).rejects.toMatchObject({
      code: 422,
      type: 'OUTBOX_PAYLOAD_INVALID',
      message: expect.stringContaining('articleId must be string'),
    });
    await eventually(async () => (await on.unsentOf(2, bad)) === 3);
    on.refused = () => false;
    const payload = { articleId: bad, version: 1, note: 'mended' };
    expect(await call('edit', { id, payload, reason: 'typo' })).toMatchObject({ status: 'done' });
    await eventually(() => on.drained());
    const messages = (await source.messages()).filter(({ key }) => String(key) === bad).map(envelopeOf);
    expect(messages.map(({ version }) => Number(version))).toEqual([1, 2, 3]);
    expect(messages[0]).toMatchObject({ eventId: events[0]!.eventId, payload });

    const shown = await call<ShownEvent>('show', { id });
    expect(shown).toMatchObject({ state: 'sent', payload: JSON.stringify(payload), blockedBy: null });
    expect(shown.audit).toMatchObject([
      { action: 'edit', who: 'user 42', reason: 'typo', state: 'done', eventRow: id },
      { action: 'retry', who: 'user 42', state: 'done' },
    ]);
    const [audit] = await on.rows<{ before_event: Buffer; after_event: Buffer }>(
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
    await eventually(() => on.drained());
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
    on.refused = () => false;
    await on.write(bad, 1, 3);
    const hash = '(SELECT MIN(id) FROM outbox_pending)';
    await source.pool.query(`DELETE FROM outbox WHERE id = ${hash}`);
    await source.pool.query("INSERT INTO outbox_stream VALUES ('article', ?, 3)", [bad]);
    await on.started('a', { maxAttempts: 1 });
    await eventually(async () => (await on.unsentOf(2, bad)) === 3);
    const call = await on.operatorNode();
    const { events } = await call<{ events: ShownEvent[] }>('list', {});
    expect(events[0]).toMatchObject({ eventId: null, blockedBy: { errorCode: 'EVENT_MISSING' } });
    expect(await call('drop', { id: events[0]!.id, reason: 'lost' })).toMatchObject({ status: 'done' });
    await eventually(() => on.drained());
    expect((await source.versions()).get(bad)).toEqual([1, 2, 3]);
  });

  it('gets clear errors for what is not there or not allowed', async () => {
    const call = await on.operatorNode();
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

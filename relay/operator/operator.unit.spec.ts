import { beforeEach, describe, expect, it } from '@jest/globals';
import { Type } from '@sinclair/typebox';
import { VirtualClock } from '../../clock/testing/virtual-clock.ts';
import { createCatalogue } from '../../events/catalogue.ts';
import { defineEvent } from '../../events/definition.ts';
import { bucketOf, keyHashOf } from '../../outbox/keys.ts';
import { createOperator, type Operator } from './operator.ts';
import type { NewRequest, OperatorStore, ShownEvent } from './store.ts';

const catalogue = createCatalogue([
  defineEvent({
    ...{ type: 'ArticleLiked', schemaVersion: 1, source: 'like', aggregateType: 'article' },
    payload: Type.Object({ count: Type.Integer() }),
  }),
]);
const event: ShownEvent = {
  ...{
    id: '7',
    bucket: 3,
    state: 'dead',
    version: '1',
    keyHash: '99',
    eventId: null,
    aggregateType: 'article',
    key: '5',
  },
  ...{
    type: 'ArticleLiked',
    schemaVersion: 1,
    createdAt: null,
    blockedBy: null,
    payload: '{}',
    headers: null,
    audit: [],
  },
};

let clock: VirtualClock;
let requests: NewRequest[];
let nudged: [string, readonly number[]][];
let states: (id: string) => { state: string; result: string | null };
let shown: ShownEvent | null;
let operator: Operator;

beforeEach(() => {
  clock = new VirtualClock();
  requests = [];
  nudged = [];
  states = () => ({ state: 'done', result: null });
  shown = event;
  const store: OperatorStore = {
    buckets: async () => 8,
    list: async ({ pageSize }) => Array(pageSize + 1).fill(event),
    show: async () => shown,
    keysToRetry: async (limit) => Array.from({ length: limit }, (_, index) => ({ bucket: 1, keyHash: String(index) })),
    request: async (wanted) => String(requests.push(wanted)),
    requestStates: async (ids) => ids.map((id) => ({ id, ...states(id) })),
    close: async () => {},
  };
  operator = createOperator({
    sources: [{ name: 'like', store }],
    catalogue,
    waitMs: 3_000,
    nudge: (source, buckets) => nudged.push([source, buckets]),
    clock,
  });
});

/** The answer or the error, and after how many ms. */
async function after<Answer>(asking: Promise<Answer>): Promise<[Answer | Error, number]> {
  const startMs = clock.monotonicMs();
  let answer: Answer | Error | undefined;
  asking.then(
    (given) => {
      answer = given;
    },
    (error) => {
      answer = error;
    },
  );
  await clock.until(() => answer !== undefined, 10_000);
  return [answer!, clock.monotonicMs() - startMs];
}

describe('an operator', () => {
  it('wakes the owner of the bucket, and waits until it has carried the request out', async () => {
    states = () => ({ state: clock.monotonicMs() < 700 ? 'requested' : 'done', result: null });
    const [answer, ms] = await after(operator.drop({ source: 'like', id: '7', reason: ' wrong ' }, 'user 1'));
    expect(answer).toEqual({ status: 'done', requests: ['1'], refused: [], more: false });
    expect(ms).toBeLessThan(800);
    expect(nudged).toEqual([['like', [3]]]);
    expect(requests).toMatchObject([{ action: 'drop', rowId: '7', keyHash: '99', who: 'user 1', reason: 'wrong' }]);
  });

  it('is told that it is only requested where nobody has carried it out in time', async () => {
    states = () => ({ state: 'requested', result: null });
    const [answer, ms] = await after(operator.retry({ source: 'like', key: '5' }, 'user 1'));
    expect(answer).toMatchObject({ status: 'requested' });
    expect(ms).toBe(3_000);
    expect(requests).toMatchObject([{ action: 'retry', bucket: bucketOf('5', 8), keyHash: keyHashOf('5') }]);
  });

  it('is told why the owner refused', async () => {
    states = () => ({ state: 'refused', result: 'It was sent meanwhile.' });
    const [error] = await after(operator.retry({ source: 'like', id: '7' }, 'user 1'));
    expect(error).toMatchObject({ code: 'OUTBOX_REQUEST_REFUSED', message: 'It was sent meanwhile.' });
  });

  it('retries up to 1,000 keys of a source at once, and says that there are more', async () => {
    const [answer] = await after(operator.retry({ source: 'like', all: true }, 'user 1'));
    expect(answer).toMatchObject({ status: 'done', more: true });
    expect(requests).toHaveLength(1_000);
  });

  it('changes no payload to one that its readers would not take', async () => {
    const edit = (payload: unknown) =>
      after(operator.edit({ source: 'like', id: '7', payload, reason: 'r' }, 'user 1'));
    expect((await edit({ count: 'x' }))[0]).toMatchObject({ code: 'OUTBOX_PAYLOAD_INVALID' });
    expect((await edit({ count: 1, pad: 'x'.repeat(1_000_000) }))[0]).toMatchObject({
      message: expect.stringContaining('allowed: 921600'),
    });
    shown = { ...event, type: 'Skipped' };
    expect((await edit({ count: 1 }))[0]).toMatchObject({ message: 'The event 7 is dropped already.' });
    shown = { ...event, type: null };
    expect((await edit({ count: 1 }))[0]).toMatchObject({ message: expect.stringContaining('can only be dropped') });
    expect(requests).toEqual([]);
    shown = event;
    await edit({ count: 2 });
    expect(JSON.parse(requests[0]!.after!)).toEqual({ type: 'ArticleLiked', schemaVersion: 1, payload: '{"count":2}' });
  });

  it('gets pages, and is told whether there is another', async () => {
    expect((await after(operator.list({ source: 'like', pageSize: 3 })))[0]).toMatchObject({
      ...{ page: 1, pageSize: 3, more: true },
      events: [{ id: '7' }, { id: '7' }, { id: '7' }],
    });
  });

  it.each([
    [
      { source: 'like', id: 7 },
      'The parameter id is 7; allowed: the id of an event as text of digits, as outbox.list shows it.',
    ],
    [{ id: '7' }, 'The parameter source is missing; allowed: text of 1 to 255 characters.'],
    [{ source: 'like', id: '7', key: '5' }, 'Retry has id, key of id, key, all; allowed: exactly one.'],
    [{ source: 'like', all: false }, 'The parameter all is false; allowed: true.'],
    [{ source: 'like', id: '7', force: true }, 'The parameter force is unknown; allowed: source, id, key, all.'],
  ])('is told what is wrong with %j', async (params, message) => {
    expect((await after(operator.retry(params, 'user 1')))[0]).toMatchObject({
      code: 'OUTBOX_PARAMS_INVALID',
      message,
    });
  });

  it('cannot drop what was sent, or what is not there', async () => {
    const drop = () => after(operator.drop({ source: 'like', id: '7', reason: 'r' }, 'user 1'));
    shown = { ...event, state: 'sent' };
    expect((await drop())[0]).toMatchObject({ code: 'OUTBOX_EVENT_NOT_WAITING' });
    shown = null;
    expect((await drop())[0]).toMatchObject({ code: 'OUTBOX_EVENT_NOT_FOUND' });
    expect((await after(operator.show({ source: 'x', id: '7' })))[0]).toMatchObject({ code: 'OUTBOX_SOURCE_UNKNOWN' });
  });
});

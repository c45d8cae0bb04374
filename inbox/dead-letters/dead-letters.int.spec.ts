import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mysqlStore } from '../store/mysql.ts';
import { type TestDatabase, testDatabase, writesEffects } from '../testing/database.ts';
import { batchOf, brokenMessage, testEvent } from '../testing/events.ts';
import { recordedMetrics } from '../testing/recorded-metrics.ts';
import { workerOptions } from '../testing/worker.ts';
import type { InboxHandler, InboxMode } from '../types.ts';
import { createWorker } from '../worker.ts';
import { deadLettersOf } from './operations.ts';

let database: TestDatabase;
let consumer = 0;
const signal = new AbortController().signal;

beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  consumer++;
  await database.rows('DELETE FROM effects');
});

/** A process of this test's consumer. `broken` names events (`<aggregate>.<version>`) whose handler throws. */
function member({ mode = 'state', parkedLimit = 100 }: { mode?: InboxMode; parkedLimit?: number } = {}) {
  const broken = new Set<string>();
  const committed: string[] = [];
  const handler: InboxHandler = {
    async handleBatch(tx, events) {
      await writesEffects.handleBatch!(tx, events);
      const name = events.map((event) => `${event.aggregateId}.${event.version}`).find((each) => broken.has(each));
      if (name) throw new Error(`no ${name}`);
    },
  };
  const metrics = recordedMetrics();
  const store = mysqlStore({ database: database.pool(), consumer: `letters-${consumer}`, mode });
  const options = workerOptions({
    ...{ store, mode, metrics, parkedLimit, handlers: { '*': handler }, handlerAttempts: 1, random: () => 0 },
    afterCommit: (events) => void committed.push(...events.map((event) => `${event.aggregateId}.${event.version}`)),
  });
  const worker = createWorker(options);
  return {
    broken,
    committed,
    metrics: metrics.sums,
    letters: deadLettersOf({ ...options, worker }),
    process: (events: Parameters<typeof batchOf>[0], offset = 0n) =>
      worker.process(batchOf(events, { topic: 'test.like', partition: 3, offset }), signal),
  };
}

const all = { filter: {} };
const really = { dryRun: false, by: 'Kim', why: 'the handler is mended' };
const aggregate = (aggregateId: string) => ({ aggregate: { source: 'like', aggregateType: 'article', aggregateId } });
const versions = (aggregateId: string, ...numbers: number[]) =>
  numbers.map((version) => testEvent(aggregateId, version));
const outcomes = (reports: readonly { outcome: string }[]) => reports.map(({ outcome }) => outcome);

describe('dead letters', () => {
  it('are listed by filter and page, and shown with their message', async () => {
    const { process, letters } = member();
    await process([brokenMessage('1'), testEvent('2', 1, { type: 'Unheard' }), testEvent('3', 1), brokenMessage('4')]);
    const first = await letters.list({ limit: 2 });
    expect(first.letters.map(({ reason, offset, state }) => [reason, offset, state])).toEqual([
      ['malformed', '0', 'waiting'],
      ['uncatalogued', '1', 'waiting'],
    ]);
    const second = await letters.list({ limit: 2, after: first.next! });
    expect(second).toMatchObject({ letters: [{ reason: 'malformed', offset: '3' }], next: null });
    const { letters: found } = await letters.list({
      filter: { reason: 'uncatalogued', eventType: 'Unheard', topic: 'test.like', partition: 3, aggregateId: '2' },
    });
    expect(found).toMatchObject([{ event: { aggregateId: '2', version: '1', type: 'Unheard' }, attempts: 1 }]);
    expect(await letters.list({ filter: { state: 'discarded' } })).toEqual({ letters: [], next: null });
    const shown = await letters.show({ id: first.letters[0]!.id });
    expect(shown).toMatchObject({
      value: '{"count": ',
      key: '1',
      event: null,
      readsAs: { reason: 'malformed', detail: 'the value is not JSON' },
      audit: [],
      revision: 0,
    });
    expect(shown.headers).toMatchObject({ ce_type: 'Counted', ce_source: '/like' });
  });

  it('are replayed once they can be applied; a dry run says so and changes nothing', async () => {
    const { process, letters, broken, committed, metrics } = member();
    broken.add('1.2').add('2.1');
    await process([...versions('1', 1, 2), testEvent('2', 1), brokenMessage('3')]);
    broken.delete('1.2');
    committed.length = 0;
    const before = await letters.list({});
    expect(outcomes((await letters.replay(all)).letters)).toEqual(['applied', 'fails', 'poison']);
    expect(await letters.list({})).toEqual(before);
    expect(await database.effects()).toEqual(['1.1']);
    expect(committed).toEqual([]);

    const done = await letters.replay({ ...all, ...really });
    expect(done).toMatchObject({ dryRun: false, next: null });
    expect(done.letters.map(({ outcome, detail }) => [outcome, detail])).toEqual([
      ['applied', null],
      ['fails', 'Error: no 2.1'],
      ['poison', 'malformed: the value is not JSON'],
    ]);
    expect(await database.effects()).toEqual(['1.1', '1.2']);
    expect(committed).toEqual(['1.2']);
    const after = await letters.list({});
    expect(after.letters.map(({ state, attempts }) => [state, attempts])).toEqual([
      ['replayed', 1],
      ['waiting', 2],
      ['waiting', 2],
    ]);
    const [one, two] = await Promise.all(after.letters.slice(0, 2).map(({ id }) => letters.show({ id })));
    expect(one!.audit).toMatchObject([{ action: 'replayed', outcome: 'applied', by: 'Kim', why: really.why }]);
    expect(one!.settledAt).not.toBeNull();
    expect(two!.audit).toMatchObject([{ action: 'replay-failed', outcome: 'fails' }]);
    expect(metrics).toMatchObject({ 'inbox.dead_letters.settled.total applied': 1 });
  });

  it('make one effect however often and by however many they are replayed at once', async () => {
    const [one, two] = [member(), member()];
    one.broken.add('1.1');
    await one.process(versions('1', 1));
    one.broken.clear();
    const replays = await Promise.all(
      [one, two, one, two, two].map(({ letters }) => letters.replay({ ...all, ...really })),
    );
    const said = replays.flatMap(({ letters }) => outcomes(letters));
    expect(said.filter((outcome) => outcome === 'applied')).toEqual(['applied']);
    const { id } = (await one.letters.list({})).letters[0]!;
    expect(outcomes((await two.letters.replay({ id, ...really })).letters)).toEqual(['settled']);
    expect(await database.effects()).toEqual(['1.1']);
    expect((await one.letters.show({ id })).audit).toHaveLength(1);
  });

  it('that came again by themselves are duplicates, and stale where a newer event was applied', async () => {
    const { process, letters, broken } = member();
    broken.add('1.1').add('2.1');
    await process([testEvent('1', 1), testEvent('2', 1)]);
    broken.clear();
    await process([testEvent('1', 1), testEvent('2', 2)], 2n);
    for (const request of [all, { ...all, ...really }]) {
      expect(outcomes((await letters.replay(request)).letters)).toEqual(['duplicate', 'stale']);
    }
    expect(await database.effects()).toEqual(['1.1', '2.2']);
    expect((await letters.list({ filter: { state: 'waiting' } })).letters).toEqual([]);
  });

  it('of one aggregate in a sequence inbox are replayed in order and release what is parked behind them', async () => {
    const { process, letters, broken, committed } = member({ mode: 'sequence' });
    broken.add('1.2');
    await process([...versions('1', 1, 2, 3, 4), testEvent('2', 1)]);
    broken.delete('1.2');
    expect(await database.effects()).toEqual(['1.1', '2.1']);
    const [rehearsed] = (await letters.replay(aggregate('1'))).letters;
    expect(rehearsed).toMatchObject({ outcome: 'applied', releases: 2, event: { version: '2' } });
    committed.length = 0;
    expect(outcomes((await letters.replay({ ...aggregate('1'), ...really })).letters)).toEqual(['applied']);
    expect(await database.effects()).toEqual(['1.1', '2.1', '1.2', '1.3', '1.4']);
    expect(committed).toEqual(['1.2', '1.3', '1.4']);
    expect(await database.rows('SELECT * FROM inbox_parked')).toEqual([]);
  });

  it('that are still too early are parked, and stay where there is no room', async () => {
    const { process, letters, broken } = member({ mode: 'sequence', parkedLimit: 1 });
    await process(versions('1', 3, 4, 5));
    broken.add('2.1');
    await process([testEvent('2', 1), testEvent('2', 2)], 3n);
    expect(outcomes((await letters.replay({ ...aggregate('1'), ...really })).letters)).toEqual(['refused', 'refused']);
    await process(versions('1', 1, 2), 5n);
    expect(await database.effects()).toEqual(['1.1', '1.2', '1.3']);
    const rehearsed = await letters.replay(aggregate('1'));
    expect(outcomes(rehearsed.letters)).toEqual(['applied', 'applied']);
    expect(outcomes((await letters.replay({ ...aggregate('1'), ...really })).letters)).toEqual(['applied', 'applied']);
    expect(await database.effects()).toEqual(['1.1', '1.2', '1.3', '1.4', '1.5']);
  });

  it('are replayed in the order of their versions, whatever the order they came in', async () => {
    const { process, letters, broken } = member({ mode: 'sequence', parkedLimit: 0 });
    await process(versions('1', 3, 2));
    broken.add('1.1');
    await process(versions('1', 1), 2n);
    broken.clear();
    expect(outcomes((await letters.replay(all)).letters)).toEqual(['applied', 'applied', 'applied']);
    await letters.replay({ ...all, ...really });
    expect(await database.effects()).toEqual(['1.1', '1.2', '1.3']);
  });

  it('are edited with an audit, by one who has seen the last edit, and then replayed', async () => {
    const { process, letters } = member();
    await process([brokenMessage('1')]);
    const { id } = (await letters.list({})).letters[0]!;
    const edit = { id, revision: 0, by: 'Lee', why: 'cut off in transit', value: '{"count": 7}' };
    const edited = await letters.edit(edit);
    expect(edited).toMatchObject({
      revision: 1,
      value: '{"count": 7}',
      readsAs: 'event',
      event: { aggregateId: '1', version: '1', type: 'Counted' },
      audit: [
        {
          action: 'edited',
          by: 'Lee',
          why: 'cut off in transit',
          before: { value: '{"count": ', key: '1' },
          after: { value: '{"count": 7}' },
        },
      ],
    });
    await expect(letters.edit(edit)).rejects.toMatchObject({ code: 'DEAD_LETTER_CHANGED' });
    const headers = { ce_extra: { base64: '/w==' }, traceparent: null };
    expect((await letters.edit({ ...edit, revision: 1, headers })).headers.ce_extra).toEqual({ base64: '/w==' });
    expect(outcomes((await letters.replay({ id, ...really })).letters)).toEqual(['applied']);
    expect(await database.effects()).toEqual(['1.1']);
    await expect(letters.edit({ ...edit, revision: 2 })).rejects.toMatchObject({ code: 'DEAD_LETTER_SETTLED' });
    await process([brokenMessage('1')]);
    expect((await letters.list({})).letters).toMatchObject([{ id, state: 'replayed', attempts: 2 }]);
  });

  it('are discarded with a reason, once, and not replayed any more', async () => {
    const { process, letters } = member();
    await process([brokenMessage('1'), testEvent('2', 1, { type: 'Unheard' })]);
    const discard = { ...all, filter: { reason: 'malformed' as const }, by: 'Lee', why: 'a test of the producer' };
    expect(outcomes((await letters.discard(discard)).letters)).toEqual(['discarded']);
    expect((await letters.discard(discard)).letters).toEqual([]);
    const { id } = (await letters.list({ filter: { state: 'discarded' } })).letters[0]!;
    expect(outcomes((await letters.discard({ id, by: 'Kim', why: 'again' })).letters)).toEqual(['settled']);
    expect(outcomes((await letters.replay({ id, ...really })).letters)).toEqual(['settled']);
    expect((await letters.show({ id })).audit).toMatchObject([{ action: 'discarded', by: 'Lee', why: discard.why }]);
    expect((await letters.list({ filter: { state: 'waiting' } })).letters).toHaveLength(1);
  });

  it('of another consumer are not there', async () => {
    await member().process([brokenMessage('1')]);
    const { id } = (await member().letters.list({})).letters[0]!;
    consumer++;
    await expect(member().letters.show({ id })).rejects.toMatchObject({ code: 'DEAD_LETTER_UNKNOWN' });
    expect(await member().letters.list({})).toEqual({ letters: [], next: null });
  });

  it('cannot be worked on while the database is away, which is said with a code', async () => {
    const { letters } = member();
    const broken = mysqlStore({
      database: { query: refused, transaction: refused, close: async () => {} } as never,
      consumer: 'x',
      mode: 'state',
    });
    const away = deadLettersOf({ store: broken } as never);
    await expect(away.list({})).rejects.toMatchObject({ code: 'DEAD_LETTER_UNAVAILABLE', retryable: true });
    expect((await letters.list({})).letters).toEqual([]);
  });
});

async function refused(): Promise<never> {
  throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
}

import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from '../clock/testing/virtual-clock.ts';
import type { IncomingBatch } from '../kafka/port.ts';
import { batchOf, brokenMessage, testCatalogue, testEvent } from './testing/events.ts';
import { memoryStore } from './testing/memory-store.ts';
import { recordedMetrics } from './testing/recorded-metrics.ts';
import type { InboxEvent, InboxHandler, InboxHandlers, InboxMode } from './types.ts';
import { createWorker, InterruptedError } from './worker.ts';

const databaseError = (errno: number) => Object.assign(new Error(`error ${errno}`), { errno, sqlState: 'HY000' });
const connectionLost = () => Object.assign(new Error('gone'), { code: 'PROTOCOL_CONNECTION_LOST', fatal: true });

/** Writes what it gets as effects; `act` may throw. */
function effectsHandler(act: (events: readonly InboxEvent[]) => void | Promise<void> = () => {}): InboxHandler {
  return {
    async handleBatch(tx, events) {
      await tx.write('effect', [...events.map((event) => `${event.aggregateId}.${event.version}`)]);
      await act(events);
    },
  };
}

function setUp(options: { handlers?: InboxHandlers; mode?: InboxMode; batchSize?: number } = {}) {
  const store = memoryStore();
  const clock = new VirtualClock();
  const metrics = recordedMetrics();
  const committed: string[] = [];
  const logs: string[] = [];
  const log = (...args: unknown[]) => void logs.push(args.map(String).join(' '));
  const setup = { afterCommit: (_events: readonly InboxEvent[]): Promise<void> | void => {} };
  const worker = createWorker({
    store,
    mode: options.mode ?? 'state',
    catalogue: testCatalogue,
    handlers: options.handlers ?? { '*': effectsHandler() },
    afterCommit: (events) => {
      committed.push(...events.map((event) => `${event.aggregateId}.${event.version}`));
      return setup.afterCommit(events);
    },
    clock,
    metrics,
    logger: { debug: log, info: log, warn: log, error: log },
    random: () => 0,
    batchSize: options.batchSize ?? 100,
    handlerAttempts: 3,
    handlerTimeoutMs: 1000,
    parkedLimit: 10,
    baseline: 'first-version',
  });
  const stop = new AbortController();
  const process = (batch: IncomingBatch) => clock.finish(worker.process(batch, stop.signal));
  const letters = () => [...store.state.deadLetters.values()];
  return { store, clock, metrics: metrics.sums, process, stop, committed, letters, logs, setup };
}

const events = (count: number, aggregateId = '1') =>
  Array.from({ length: count }, (_, index) => testEvent(aggregateId, index + 1));

const names = (count: number, aggregateId = '1') =>
  Array.from({ length: count }, (_, index) => `${aggregateId}.${index + 1}`);

describe('the batch worker', () => {
  it('applies a batch in transactions of at most the batch size and answers the next offset', async () => {
    const { store, process, committed, metrics } = setUp({ batchSize: 4 });
    expect(await process(batchOf(events(10), { topic: 't', partition: 2, offset: 50n }))).toBe(60n);
    expect(store.transactions).toEqual({ begun: 3, committed: 3 });
    expect(store.state.effects).toEqual(names(10));
    expect(committed).toEqual(names(10));
    expect([...store.state.offsets.values()]).toEqual([{ topic: 't', partition: 2, offset: 60n }]);
    expect(metrics).toEqual({ 'inbox.events.applied.total': 10 });
  });

  it('makes each effect once however often a batch comes', async () => {
    const { store, process, committed, metrics } = setUp();
    for (let time = 0; time < 100; time++) await process(batchOf([...events(5), ...events(5)]));
    expect(store.state.effects).toEqual(names(5));
    expect(committed).toEqual(names(5));
    expect(metrics['inbox.events.duplicate.total']).toBe(995);
  });

  it.each([
    ['a deadlock', 'handler', () => databaseError(1213), 'conflict'],
    ['a lock wait', 'lockStreams', () => databaseError(1205), 'conflict'],
    ['a changed row (1020)', 'writeStreams', () => databaseError(1020), 'conflict'],
    ['a lost connection', 'writeOffsets', connectionLost, 'away'],
    ['a missing table', 'begin', () => databaseError(1146), 'not-ready'],
    [
      'an error of the database that a handler wrapped',
      'handler',
      () => new Error('x', { cause: databaseError(1213) }),
      'conflict',
    ],
  ] as const)('takes the whole batch again after %s, for as long as it takes', async (_name, step, error, reason) => {
    const { store, process, letters, metrics } = setUp();
    let failures = 0;
    store.fail = (at) => {
      if (at === step && failures < 40) {
        failures++;
        throw error();
      }
    };
    expect(await process(batchOf(events(8)))).toBe(8n);
    expect(store.state.effects).toEqual(names(8));
    expect(store.transactions.committed).toBe(1);
    expect(letters()).toEqual([]);
    expect(metrics[`inbox.retries.total ${reason}`]).toBe(40);
  });

  it('makes one effect where the answer to a commit was lost', async () => {
    const { store, process } = setUp();
    let lost = 0;
    store.fail = (at) => {
      if (at === 'after commit' && lost++ === 0) throw connectionLost();
    };
    expect(await process(batchOf(events(3)))).toBe(3n);
    expect(store.state.effects).toEqual(names(3));
    expect(store.transactions).toEqual({ begun: 2, committed: 2 });
  });

  it('finds the one event whose handler fails, buries it, and applies the rest in order', async () => {
    const handler = effectsHandler((batch) => {
      if (batch.some((event) => event.version === 6n)) throw new TypeError('no sixth');
    });
    const { store, process, letters, committed, metrics } = setUp({ handlers: { '*': handler } });
    const batch = batchOf([...events(10), ...events(3, '2')]);
    expect(await process(batch)).toBe(13n);
    const expected = [...names(10).filter((name) => name !== '1.6'), ...names(3, '2')];
    expect(store.state.effects).toEqual(expected);
    expect(committed).toEqual(expected);
    expect(letters()).toMatchObject([
      {
        reason: 'handler',
        attempts: 3,
        detail: 'TypeError: no sixth',
        message: { offset: 5n },
        event: { version: 6n },
      },
    ]);
    expect([...store.state.offsets.values()]).toMatchObject([{ offset: 13n }]);
    expect(metrics['inbox.dead_letters.total handler']).toBe(1);
  });

  it('leaves no id and no watermark of an event whose handler failed', async () => {
    const failing = effectsHandler(() => {
      throw new Error('never');
    });
    const { store, process } = setUp({ handlers: { '*': failing } });
    await process(batchOf(events(1)));
    expect(store.state.recorded.size).toBe(0);
    expect(store.state.streams.size).toBe(0);
    expect(store.state.effects).toEqual([]);
  });

  it('does not wait for what a handler misses elsewhere', async () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', errno: -111 });
    const handler = effectsHandler(() => {
      throw refused;
    });
    const { process, letters } = setUp({ handlers: { '*': handler } });
    expect(await process(batchOf(events(1)))).toBe(1n);
    expect(letters()).toMatchObject([{ reason: 'handler', detail: 'Error (ECONNREFUSED): connect ECONNREFUSED' }]);
  });

  it('applies an event whose handler fails twice and then works', async () => {
    let failures = 0;
    const handler = effectsHandler(() => {
      if (failures++ < 2) throw new Error('not yet');
    });
    const { store, process, letters } = setUp({ handlers: { '*': handler } });
    await process(batchOf(events(1)));
    expect(store.state.effects).toEqual(['1.1']);
    expect(letters()).toEqual([]);
  });

  it('counts a handler that never ends as failed', async () => {
    const { process, letters, clock } = setUp({ handlers: { '*': effectsHandler(() => new Promise(() => {})) } });
    expect(await process(batchOf(events(1)))).toBe(1n);
    expect(letters()).toMatchObject([{ reason: 'handler', detail: 'Error: The handler took longer than 1000 ms.' }]);
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(3000);
  });

  it('puts what is no event in order among the dead letters, together with the rest of the batch', async () => {
    const { store, process, letters } = setUp();
    const batch = batchOf([
      testEvent('1', 1),
      brokenMessage('1'),
      testEvent('1', 2, { type: 'Unheard' }),
      testEvent('1', 2, { schemaVersion: 7 }),
      testEvent('1', 2, { payload: { count: -1 } }),
      testEvent('1', 2, { source: 'view' }),
      { ...brokenMessage('1'), key: null },
      testEvent('1', 2),
    ]);
    expect(await process(batch)).toBe(8n);
    expect(store.state.effects).toEqual(['1.1', '1.2']);
    expect(store.transactions).toEqual({ begun: 1, committed: 1 });
    expect(letters().map(({ reason, message, detail }) => [Number(message.offset), reason, detail])).toEqual([
      [1, 'malformed', 'the value is not JSON'],
      [2, 'uncatalogued', 'the type "Unheard" is not in the catalogue'],
      [3, 'unknown-version', 'Counted has the schema version 7; known: 1'],
      [4, 'schema', 'count must be >= 0'],
      [5, 'schema', 'Counted is said to come from view/article; the catalogue says like/article'],
      [6, 'malformed', 'the key (the aggregate id) is missing'],
    ]);
  });

  it('advances the watermark for a catalogued type that nobody handles', async () => {
    const { store, process, committed } = setUp({ handlers: { Counted: effectsHandler() } });
    await process(batchOf([testEvent('1', 1), testEvent('1', 2, { type: 'Ignored' })]));
    expect(store.state.effects).toEqual(['1.1']);
    expect([...store.state.streams.values()]).toMatchObject([{ version: 2n }]);
    expect(store.state.recorded.size).toBe(2);
    expect(committed).toEqual(['1.1', '1.2']);
  });

  it('looks all ids up where the unique key contradicts the watermarks, and raises an alarm', async () => {
    const { store, process, logs, metrics } = setUp();
    await process(batchOf(events(3)));
    store.state.streams.clear();
    await process(batchOf(events(4)));
    expect(store.state.effects).toEqual(names(4));
    expect(metrics['inbox.alarms.total seen-above-watermark']).toBe(3);
    expect(logs.join('\n')).toContain('seen-above-watermark');
  });

  it('logs an error of afterCommit and goes on', async () => {
    const { store, process, setup, logs } = setUp();
    setup.afterCommit = () => {
      throw new Error('Redis is away');
    };
    expect(await process(batchOf(events(2)))).toBe(2n);
    expect(store.state.effects).toEqual(names(2));
    expect(logs.join('\n')).toContain('Redis is away');
  });

  it('stops between transactions when told and answers what is done', async () => {
    const { store, process, stop } = setUp({ batchSize: 2 });
    store.fail = (at) => {
      if (at === 'after commit' && store.transactions.committed === 2) stop.abort();
    };
    expect(await process(batchOf(events(10)))).toBe(4n);
    expect(store.state.effects).toEqual(names(4));
    await expect(process(batchOf(events(10)))).rejects.toThrow(InterruptedError);
  });

  it('gives up waiting for the database when told to stop, with nothing done', async () => {
    const { store, process, stop } = setUp();
    store.fail = () => {
      if (store.transactions.begun === 5) stop.abort();
      throw connectionLost();
    };
    await expect(process(batchOf(events(3)))).rejects.toMatchObject({ code: 'INBOX_INTERRUPTED' });
    expect(store.state.offsets.size).toBe(0);
  });

  it('does not move on where a dead letter can’t be stored', async () => {
    const { store, process } = setUp();
    store.fail = (at) => {
      if (at === 'writeDeadLetters') throw databaseError(1406);
    };
    await expect(process(batchOf([brokenMessage('1')]))).rejects.toThrow('error 1406');
    expect(store.state.offsets.size).toBe(0);
  });
});

describe('the batch worker of a sequence inbox', () => {
  it('lets an aggregate wait parked behind its dead letter while others flow', async () => {
    const handler = effectsHandler((batch) => {
      if (batch.some((event) => event.aggregateId === '1' && event.version === 2n)) throw new Error('no');
    });
    const { store, process, letters } = setUp({ mode: 'sequence', handlers: { '*': handler } });
    await process(batchOf([...events(4, '1'), ...events(4, '2')]));
    expect(store.state.effects).toEqual(['1.1', ...names(4, '2')]);
    expect(letters()).toMatchObject([{ event: { aggregateId: '1', version: 2n } }]);
    expect([...store.state.parked.values()].map(({ event }) => Number(event.version))).toEqual([3, 4]);
  });

  it('blames a parked event for its own failure, not the one that filled the gap', async () => {
    let broken = true;
    const handler = effectsHandler((batch) => {
      if (broken && batch.some((event) => event.version === 4n)) throw new Error('no fourth');
    });
    const { store, process, letters } = setUp({ mode: 'sequence', handlers: { '*': handler } });
    await process(batchOf([3, 4, 5].map((version) => testEvent('1', version))));
    await process(
      batchOf([testEvent('1', 1), testEvent('2', 1), testEvent('1', 2)], { topic: 't', partition: 0, offset: 3n }),
    );
    expect(store.state.effects.toSorted()).toEqual(['1.1', '1.2', '1.3', '2.1']);
    expect(letters()).toMatchObject([{ reason: 'handler', event: { version: 4n } }]);
    expect([...store.state.parked.values()].map(({ event }) => Number(event.version))).toEqual([5]);
    expect([...store.state.streams.values()].find(({ aggregateId }) => aggregateId === '1')).toMatchObject({
      parked: 1,
    });
    broken = false;
    await process(batchOf([testEvent('1', 4)]));
    expect(store.state.effects.filter((what) => String(what).startsWith('1.'))).toEqual(names(5));
    expect(store.state.parked.size).toBe(0);
  });

  it('takes up a parked event whose turn had come before a crash', async () => {
    const { store, process, stop } = setUp({ mode: 'sequence' });
    await process(batchOf([testEvent('1', 2), testEvent('1', 3)]));
    store.fail = (step) => {
      if (step === 'after commit') stop.abort();
    };
    await expect(process(batchOf([testEvent('1', 1)]))).rejects.toThrow('stops');
    expect(store.state.effects).toEqual(['1.1']);
    store.fail = () => {};
    const again = setUp({ mode: 'sequence' });
    Object.assign(again.store.state, store.state);
    await again.process(batchOf([testEvent('1', 4)]));
    expect(again.store.state.effects).toEqual(names(4));
    expect(again.store.state.parked.size).toBe(0);
  });

  it('puts what it has no room to park among the dead letters', async () => {
    const { store, process, letters } = setUp({ mode: 'sequence' });
    await process(batchOf(events(15).slice(1)));
    expect(store.state.parked.size).toBe(10);
    expect(letters().map(({ reason, event }) => [reason, Number(event!.version)])).toEqual(
      [12, 13, 14, 15].map((version) => ['parked-limit', version]),
    );
  });
});

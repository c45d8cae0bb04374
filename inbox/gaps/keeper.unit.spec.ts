import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from '../../clock/testing/virtual-clock.ts';
import { batchOf, messageOf, testCatalogue, testEvent } from '../testing/events.ts';
import { memoryStore } from '../testing/memory-store.ts';
import { recordedMetrics } from '../testing/recorded-metrics.ts';
import { createWorker } from '../worker.ts';
import type { GapAnswer } from './answer.ts';
import { GapKeeper } from './keeper.ts';

const place = { topic: 'test.like', partition: 0 };

function setUp(answers: (version: number) => GapAnswer | Error, parkedMs = 3_600_000) {
  const store = memoryStore();
  const clock = new VirtualClock();
  const metrics = recordedMetrics();
  const logs: string[] = [];
  const log = (...args: unknown[]) => void logs.push(args.map(String).join(' '));
  const logger = { debug: log, info: log, warn: log, error: log };
  const asked: number[] = [];
  let failing: number | null = null;
  const worker = createWorker({
    store,
    mode: 'sequence',
    catalogue: testCatalogue,
    handlers: {
      '*': {
        async handle(tx, event) {
          if (Number(event.version) === failing) throw new Error('no');
          await tx.write('effect', [Number(event.version)]);
        },
      },
    },
    clock,
    metrics,
    logger,
    random: () => 0,
    batchSize: 100,
    handlerAttempts: 2,
    handlerTimeoutMs: 1000,
    parkedLimit: 100,
    baseline: 'first-version',
  });
  const assigned = [place];
  const keeper = new GapKeeper({
    store,
    worker,
    catalogue: testCatalogue,
    ask: async (gap) => {
      asked.push(Number(gap.version));
      const answer = answers(Number(gap.version));
      if (answer instanceof Error) throw answer;
      return answer;
    },
    assigned: () => assigned,
    clock,
    metrics,
    logger,
    gapLimitMs: 30_000,
    parkedMs,
    pollMs: 5000,
  });
  return {
    store,
    clock,
    keeper,
    asked,
    assigned,
    logs,
    metrics: metrics.sums,
    park: (...versions: number[]) =>
      clock.finish(
        worker.process(batchOf(versions.map((version) => testEvent('1', version))), new AbortController().signal),
      ),
    round: () => clock.finish(keeper.round()),
    failOn: (version: number | null) => {
      failing = version;
    },
    stateOf: () => {
      const [stream] = store.state.streams.values();
      return { effects: store.state.effects, version: Number(stream!.version), parked: store.state.parked.size };
    },
  };
}

const eventAnswer = (version: number): GapAnswer => {
  const { key, value, headers } = messageOf(testEvent('1', version));
  return { answer: 'event', message: { key: key!, value: value!, headers } };
};

describe('looking after gaps', () => {
  it('fills a gap with what the producer has, one version after the other', async () => {
    const { park, round, stateOf, asked, store } = setUp(eventAnswer);
    await park(1, 4, 5);
    await round();
    expect(stateOf()).toEqual({ effects: [1, 2], version: 2, parked: 2 });
    await round();
    expect(stateOf()).toEqual({ effects: [1, 2, 3, 4, 5], version: 5, parked: 0 });
    expect(asked).toEqual([2, 3]);
    expect([...store.state.offsets.values()]).toMatchObject([{ offset: 3n }]);
  });

  it('goes on over what the producer has skipped', async () => {
    const { park, round, stateOf } = setUp((version) => (version === 2 ? { answer: 'skipped' } : eventAnswer(version)));
    await park(1, 3);
    await round();
    expect(stateOf()).toEqual({ effects: [1, 3], version: 3, parked: 0 });
  });

  it('waits for what is pending and tells once what is dead or gone', async () => {
    let answer: GapAnswer = { answer: 'pending' };
    const { park, round, stateOf, metrics, logs } = setUp(() => answer);
    await park(1, 3);
    await round();
    expect(metrics).not.toHaveProperty('inbox.alarms.total gap-dead');
    answer = { answer: 'dead' };
    for (let time = 0; time < 3; time++) await round();
    answer = { answer: 'gone' };
    for (let time = 0; time < 3; time++) await round();
    expect(metrics).toMatchObject({ 'inbox.alarms.total gap-dead': 1, 'inbox.alarms.total gap-gone': 1 });
    expect(logs.join('\n')).toContain('version 2 of like/article/1');
    expect(stateOf()).toEqual({ effects: [1], version: 1, parked: 1 });
  });

  it('turns what has waited for too long into dead letters, with an alarm, and lets the stream wait', async () => {
    const { park, round, stateOf, store, metrics, asked } = setUp(eventAnswer, 59_000);
    await park(1, 3, 4);
    await round();
    await round();
    expect(stateOf()).toEqual({ effects: [1], version: 1, parked: 0 });
    expect([...store.state.streams.values()]).toMatchObject([{ parked: 0 }]);
    expect([...store.state.deadLetters.values()].map(({ reason, detail }) => [reason, detail])).toEqual([
      ['parked-age', 'version 2 was missing for 60 s'],
      ['parked-age', 'version 2 was missing for 60 s'],
    ]);
    expect(metrics).toMatchObject({ 'inbox.alarms.total gap-given-up': 1, 'inbox.dead_letters.total parked-age': 2 });
    expect(asked).toEqual([]);
    await park(2);
    expect(stateOf()).toMatchObject({ effects: [1, 2], version: 2 });
  });

  it('does not take what the producer did not mean', async () => {
    const { park, round, stateOf, metrics } = setUp(() => eventAnswer(9));
    await park(1, 3);
    await round();
    expect(metrics).toMatchObject({ 'inbox.alarms.total gap-poison': 1 });
    expect(stateOf()).toEqual({ effects: [1], version: 1, parked: 1 });
  });

  it('asks again where the producer was away or the handler failed, without a dead letter', async () => {
    let away = true;
    const { park, round, stateOf, store, failOn } = setUp((version) =>
      away ? new Error('away') : eventAnswer(version),
    );
    await park(1, 3);
    await round();
    away = false;
    failOn(2);
    await round();
    expect(stateOf()).toEqual({ effects: [1], version: 1, parked: 1 });
    expect(store.state.deadLetters.size).toBe(0);
    failOn(null);
    await round();
    expect(stateOf()).toEqual({ effects: [1, 2, 3], version: 3, parked: 0 });
  });

  it('takes up parked events whose turn has come, without asking', async () => {
    const { park, round, stateOf, store, asked } = setUp(eventAnswer);
    await park(2, 3);
    const [key, stream] = [...store.state.streams.entries()][0]!;
    store.state.streams.set(key, { ...stream, version: 1n });
    await round();
    expect(stateOf()).toEqual({ effects: [2, 3], version: 3, parked: 0 });
    expect(asked).toEqual([]);
  });

  it('leaves the gaps of partitions to those who work on them', async () => {
    const { park, round, asked, assigned } = setUp(eventAnswer);
    await park(1, 3);
    assigned.length = 0;
    await round();
    expect(asked).toEqual([]);
  });

  it('looks after gaps by itself until it is stopped', async () => {
    const { park, clock, keeper, stateOf } = setUp(eventAnswer);
    await park(1, 4);
    keeper.start();
    await clock.advance(5000);
    expect(stateOf().version).toBe(2);
    await clock.advance(5000);
    expect(stateOf().version).toBe(4);
    await keeper.stop();
    await park(6);
    await clock.advance(20_000);
    expect(stateOf().version).toBe(4);
  });
});

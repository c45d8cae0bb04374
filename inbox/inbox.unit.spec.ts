import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from '../clock/testing/virtual-clock.ts';
import { KafkaError } from '../kafka/errors.ts';
import { createInbox, type InboxOptions } from './inbox.ts';
import { usualRetention } from './retention/settings.ts';
import { InboxModeError } from './store/store.ts';
import { batchOf, testCatalogue, testEvent } from './testing/events.ts';
import { fakeKafka } from './testing/fake-kafka.ts';
import { memoryStore } from './testing/memory-store.ts';
import { recordedMetrics } from './testing/recorded-metrics.ts';

const place = { topic: 'test.like', partition: 0 };

async function setUp(options: Partial<InboxOptions> = {}) {
  const clock = new VirtualClock();
  const kafka = fakeKafka(clock);
  const store = memoryStore();
  const metrics = recordedMetrics();
  const logs: string[] = [];
  const log = (...args: unknown[]) => void logs.push(args.map(String).join(' '));
  const inbox = createInbox({
    group: 'tests',
    groupId: 'tests',
    mode: 'state',
    topics: [place.topic],
    catalogue: testCatalogue,
    handlers: {
      '*': {
        async handleBatch(tx, events) {
          await tx.write('effect', [...events.map((event) => `${event.aggregateId}.${event.version}`)]);
        },
      },
    },
    store,
    kafka,
    clock,
    metrics,
    logger: { debug: log, info: log, warn: log, error: log },
    random: () => 0,
    stallMs: 60_000,
    ...options,
  });
  await inbox.start();
  return { clock, kafka, store, metrics: metrics.sums, logs, inbox, consumer: kafka.consumers[0]! };
}

const events = (count: number) => Array.from({ length: count }, (_, index) => testEvent('1', index + 1));

describe('the inbox and its consumer', () => {
  it('starts at stored offsets, else at the beginning, whatever the group has committed', async () => {
    const { consumer, store } = await setUp();
    await store.resetOffset({ ...place, offset: 77n });
    const other = { topic: place.topic, partition: 3 };
    expect(await consumer.options.onAssigned!([place, other])).toEqual([
      { ...place, offset: 77n },
      { ...other, offset: 0n },
    ]);
  });

  it('waits for the database where it has to know the stored offsets', async () => {
    const { consumer, store, clock, logs } = await setUp();
    let failures = 0;
    store.fail = () => {
      if (failures++ < 25) throw new Error('away');
    };
    expect(await clock.finish(consumer.options.onAssigned!([place]))).toEqual([{ ...place, offset: 0n }]);
    expect(logs.filter((line) => line.includes('reading the stored offsets failed'))).toHaveLength(5);
  });

  it('answers how far a batch is applied, so that only that is committed', async () => {
    const { consumer, store, clock } = await setUp({ batchSize: 2 });
    await consumer.options.onAssigned!([place]);
    const taken = new AbortController();
    store.fail = (step) => {
      if (step === 'after commit' && store.transactions.committed === 2) taken.abort();
    };
    const result = await clock.finish(consumer.deliver(batchOf(events(9), { ...place, offset: 10n }), taken.signal));
    expect(result).toEqual({ resolvedOffset: 13n });
    expect(store.state.effects).toHaveLength(4);
    await expect(clock.finish(consumer.deliver(batchOf(events(9)), taken.signal))).rejects.toThrow('taken away');
  });

  it('stops after the transaction in hand', async () => {
    const { consumer, store, clock, inbox } = await setUp({ batchSize: 2 });
    let stopping: Promise<void> | undefined;
    store.fail = (step) => {
      if (step === 'after commit') stopping ??= inbox.stop();
    };
    expect(await clock.finish(consumer.deliver(batchOf(events(9))))).toEqual({ resolvedOffset: 1n });
    await clock.finish(stopping!);
    expect(consumer.stopped).toBe(true);
    expect(inbox.status().consumer.state).toBe('stopped');
  });

  it('makes a silent consumer anew, also where the old one does not stop', async () => {
    const { kafka, consumer, clock, metrics, logs, inbox } = await setUp();
    kafka.stopping = new Promise(() => {});
    for (let second = 0; second < 55; second += 5) await clock.advance(5000);
    expect(kafka.consumers).toHaveLength(1);
    await clock.advance(60_000);
    expect(kafka.consumers).toHaveLength(2);
    expect(kafka.consumers[1]!.started).toBe(true);
    expect(metrics['inbox.consumer.rebuilds.total']).toBe(1);
    expect(logs.join('\n')).toMatch(/gave no sign of life or work for \d+ ms/);
    expect(inbox.status().consumer.rebuilds).toBe(1);
    await expect(clock.finish(consumer.deliver(batchOf(events(1))))).rejects.toThrow('the inbox stops');
    expect(await clock.finish(kafka.consumers[1]!.deliver(batchOf(events(1))))).toEqual({ resolvedOffset: 0n });
  });

  it('leaves a consumer alone that gives signs of life', async () => {
    const { kafka, consumer, clock } = await setUp();
    for (let second = 0; second < 300; second += 10) {
      consumer.current = { ...consumer.current, lastProgressMs: clock.monotonicMs() };
      await clock.advance(10_000);
    }
    expect(kafka.consumers).toHaveLength(1);
  });

  it('makes a consumer anew that sends heartbeats and hands over nothing although events wait', async () => {
    const clock = new VirtualClock();
    const kafka = fakeKafka(clock);
    const lastCommitted = async () => ({ ...batchOf(events(1)).messages[0]!, offset: 4n });
    await setUp({ clock, kafka: { ...kafka, lastCommitted } });
    const beat = async (seconds: number) => {
      for (let second = 0; second < seconds; second += 5) {
        const consumer = kafka.consumers.at(-1)!;
        consumer.current = { ...consumer.current, lastProgressMs: clock.monotonicMs() };
        await clock.advance(5000);
      }
    };
    await kafka.consumers[0]!.options.onAssigned!([place]);
    kafka.ends = [0n];
    await beat(300);
    expect(kafka.consumers).toHaveLength(1);
    kafka.ends = [5n];
    await beat(50);
    expect(kafka.consumers).toHaveLength(1);
    await beat(30);
    expect(kafka.consumers).toHaveLength(2);
  });

  it('takes an offset out of range as an alarm, and a first read after retention as none', async () => {
    const { consumer, store, metrics, logs } = await setUp();
    const gone = { ...place, offset: 5n, beginning: 40n, end: 90n };
    expect(await consumer.options.onOffsetOutOfRange!({ ...gone, offset: 0n })).toBe(40n);
    expect(metrics).toEqual({});
    await store.resetOffset({ ...place, offset: 5n });
    expect(await consumer.options.onOffsetOutOfRange!(gone)).toBe(40n);
    expect(metrics).toEqual({ 'inbox.alarms.total offset-out-of-range': 1 });
    expect(logs.join('\n')).toContain('Messages 5 to 39 are gone from the topic.');
    expect(await store.offsets([place])).toEqual([{ ...place, offset: 40n }]);
  });

  it('does not begin to consume where it is stopped while it asks the topics for their retention', async () => {
    const clock = new VirtualClock();
    const kafka = fakeKafka(clock);
    const asking = Promise.withResolvers<Record<string, string>>();
    const admin = () => ({ ...kafka.admin(), topicConfig: () => asking.promise }) as ReturnType<typeof kafka.admin>;
    const store = { ...memoryStore(), retention: {} as never };
    const inbox = createInbox({
      ...{
        group: 'g',
        groupId: 'g',
        mode: 'state',
        topics: ['t'],
        catalogue: testCatalogue,
        handlers: {},
        clock,
        store,
      },
      kafka: { ...kafka, admin },
      retention: usualRetention,
    });
    const starting = inbox.start();
    await clock.settled();
    await clock.finish(inbox.stop());
    asking.resolve({ 'retention.ms': '604800000', 'cleanup.policy': 'delete' });
    await clock.finish(starting);
    expect(kafka.consumers).toEqual([]);
  });

  it('refuses to start where the database has it with another mode', async () => {
    const refusing = memoryStore();
    refusing.register = async () => {
      throw new InboxModeError('tests', 'sequence', 'state');
    };
    const starting = setUp({ store: refusing });
    await expect(starting).rejects.toMatchObject({ code: 'INBOX_MODE_CHANGED', retryable: false });
    await expect(starting).rejects.toThrow('Set the mode back to sequence, or take another group');
  });

  it('starts where the database is away, and is refused by it later', async () => {
    const store = memoryStore();
    store.register = () => Promise.reject(new Error('away'));
    const { inbox, consumer, clock } = await setUp({ store });
    expect(inbox.status().refused).toBeNull();
    let answers = 0;
    store.fail = () => {
      if (answers++ < 1) throw new InboxModeError('tests', 'sequence', 'state');
    };
    await clock.finish(consumer.options.onAssigned!([place]));
    expect(inbox.status().refused).toContain('has mode sequence in its database and state here');
  });

  it('does not wait for a database that never answers', async () => {
    const store = memoryStore();
    store.register = () => new Promise(() => {});
    const clock = new VirtualClock();
    await clock.finish(setUp({ store, clock }));
    expect(clock.monotonicMs()).toBeLessThanOrEqual(5000);
  });

  it('refuses handlers that can’t be meant', () => {
    const options = { topics: ['t'], catalogue: testCatalogue, handlers: { Conted: {} }, store: memoryStore() };
    expect(() =>
      createInbox({ ...options, group: 'g', groupId: 'g', mode: 'state', kafka: fakeKafka(new VirtualClock()) }),
    ).toThrow('there is a handler for "Conted"; the catalogue has: Counted, Ignored, Uncounted.');
  });
});

describe('the lag that an inbox tells', () => {
  const lagOf = ({ inbox }: Awaited<ReturnType<typeof setUp>>) => {
    const { lagEvents, lagMs } = inbox.status();
    return { lagEvents, lagMs };
  };

  it('is not known before the ends are, then 0 where all is applied, and not known again when nobody answers', async () => {
    const setup = await setUp();
    const { consumer, clock, kafka } = setup;
    kafka.ends = [0n];
    await consumer.options.onAssigned!([place]);
    expect(lagOf(setup)).toEqual({ lagEvents: null, lagMs: null });
    await clock.advance(2000);
    expect(lagOf(setup)).toEqual({ lagEvents: 0, lagMs: 0 });
    kafka.ends = new KafkaError('KAFKA_UNAVAILABLE', 'away', { retryable: true });
    await clock.advance(15_000);
    expect(lagOf(setup)).toEqual({ lagEvents: null, lagMs: null });
  });

  it('counts from the oldest message in hand', async () => {
    const setup = await setUp();
    const { consumer, clock, store } = setup;
    await consumer.options.onAssigned!([place]);
    await clock.advance(10_000);
    let asked: unknown;
    store.fail = (step) => {
      if (step === 'handler') asked = lagOf(setup);
    };
    const batch = batchOf([testEvent('1', 1, { occurredAt: new Date(clock.wallMs() - 4000) })]);
    await clock.finish(consumer.deliver({ ...batch, highWatermark: 3n }));
    expect(asked).toEqual({ lagEvents: 3, lagMs: 4000 });
    expect(lagOf(setup)).toMatchObject({ lagEvents: 2 });
  });

  it('takes what stays at the end of a quiet partition for markers of transactions', async () => {
    const setup = await setUp();
    const { consumer, clock, kafka } = setup;
    kafka.ends = [2n];
    await consumer.options.onAssigned!([place]);
    const batch = batchOf(events(1));
    await clock.finish(consumer.deliver({ ...batch, highWatermark: 2n }));
    await clock.advance(1000);
    consumer.current = { ...consumer.current, lastProgressMs: clock.monotonicMs() };
    expect(lagOf(setup)).toEqual({ lagEvents: 1, lagMs: 1000 });
    await clock.advance(2000);
    consumer.current = { ...consumer.current, lastProgressMs: clock.monotonicMs() };
    expect(lagOf(setup)).toEqual({ lagEvents: 0, lagMs: 0 });
    kafka.ends = [5n];
    await clock.advance(2000);
    consumer.current = { ...consumer.current, lastProgressMs: clock.monotonicMs() };
    expect(lagOf(setup)).toMatchObject({ lagEvents: 4 });
  });

  it('knows markers from events where the last event can be asked for, and asks once for each end', async () => {
    const clock = new VirtualClock();
    const kafka = fakeKafka(clock);
    let lastOffset = 0n;
    let asked = 0;
    const setup = await setUp({
      clock,
      kafka: {
        ...kafka,
        admin: kafka.admin,
        lastCommitted: async () => {
          asked++;
          return { ...batchOf(events(1)).messages[0]!, offset: lastOffset };
        },
      },
    });
    const consumer = kafka.consumers[0]!;
    kafka.ends = [2n];
    await consumer.options.onAssigned!([place]);
    await clock.finish(consumer.deliver({ ...batchOf(events(1)), highWatermark: 2n }));
    for (let second = 0; second < 20; second++) await clock.advance(1000);
    expect(lagOf(setup)).toEqual({ lagEvents: 0, lagMs: 0 });
    expect(asked).toBe(1);
    kafka.ends = [4n];
    lastOffset = 2n;
    for (let second = 0; second < 20; second++) {
      await clock.advance(1000);
      consumer.current = { ...consumer.current, lastProgressMs: clock.monotonicMs() };
    }
    expect(lagOf(setup)).toMatchObject({ lagEvents: 2 });
    expect(lagOf(setup).lagMs).toBeGreaterThan(10_000);
    expect(asked).toBe(2);
  });

  it('forgets partitions that are gone', async () => {
    const { consumer, inbox } = await setUp();
    await consumer.options.onAssigned!([place]);
    expect(inbox.status().partitions).toMatchObject([{ ...place, position: '0', highWatermark: null, lagMs: null }]);
    await consumer.options.onRevoked!([place]);
    expect(inbox.status().partitions).toEqual([]);
  });
});

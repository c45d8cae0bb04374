import { afterEach, describe, expect, it } from '@jest/globals';
import { KafkaError } from '../kafka/errors.ts';
import type { IncomingMessage, OutgoingMessage, PartitionReaderOptions, ReadingKafkaPort } from '../kafka/port.ts';
import { soon } from '../testing/until.ts';
import { KafkaLink, type KafkaLinkOptions } from './kafka-link.ts';

/** Kafka in memory: two topics, and faults by switches. One partition on each broker. */
class FakeKafka {
  readonly logs = new Map<string, OutgoingMessage[]>();
  readonly brokers: number;
  /** Partitions whose broker is away. */
  readonly dead = new Set<number>();
  readonly readers: FakeReader[] = [];
  publishers = 0;
  canPublish = true;
  canRead = true;
  /** A broker that never answers. */
  isSilent = false;

  constructor(brokers = 1) {
    this.brokers = brokers;
    for (const topic of ['inbox', 'all']) {
      for (let partition = 0; partition < brokers; partition++) this.logs.set(placeOf({ topic, partition }), []);
    }
  }

  log(topic: string, partition = 0): OutgoingMessage[] {
    return this.logs.get(placeOf({ topic, partition }))!;
  }

  append(topic: string, value: string, partition = 0): void {
    this.store({ topic, partition, key: null, value: Buffer.from(value), headers: { type: 'REQ' } });
  }

  store(message: OutgoingMessage): void {
    this.logs.get(placeOf(message))!.push(message);
    for (const reader of this.readers) reader.pull();
  }

  get port(): ReadingKafkaPort {
    return {
      admin: () => ({
        brokers: async () => Array.from({ length: this.brokers }, (_, id) => id),
        describeTopic: () =>
          this.isSilent ? new Promise(() => {}) : Promise.resolve({ partitions: Array(this.brokers) }),
        close: async () => undefined,
      }),
      publisher: () => {
        this.publishers++;
        return {
          publish: async (messages: readonly OutgoingMessage[]) => {
            const { topic, partition } = messages[0]!;
            const error = new KafkaError('KAFKA_UNAVAILABLE', 'no way', { retryable: true });
            if (!this.canPublish || this.dead.has(partition))
              return { acknowledged: [], failed: [{ topic, partition, error }] };
            for (const message of messages) this.store(message);
            return { acknowledged: [], failed: [] };
          },
          close: async () => undefined,
        };
      },
      reader: (options: PartitionReaderOptions) => {
        const reader = new FakeReader(this, options);
        this.readers.push(reader);
        return reader;
      },
    } as unknown as ReadingKafkaPort;
  }
}

class FakeReader {
  readonly lastFetchMs = null;
  readonly unread = 0;
  readonly #kafka: FakeKafka;
  readonly options: PartitionReaderOptions;
  readonly #next = new Map<string, number>();
  running = false;

  constructor(kafka: FakeKafka, options: PartitionReaderOptions) {
    this.#kafka = kafka;
    this.options = options;
    for (const { topic, partition, from } of options.partitions) {
      const place = placeOf({ topic, partition });
      this.#next.set(place, from === 'end' ? kafka.logs.get(place)!.length : Number(from));
    }
  }

  async start(): Promise<void> {
    this.running = true;
    setImmediate(() => {
      this.options.onStateChange?.('reading', null);
      this.pull();
    });
  }

  async stop(): Promise<void> {
    this.running = false;
  }

  pull(): void {
    if (!this.running || !this.#kafka.canRead) return;
    for (const [place, next] of this.#next) {
      const log = this.#kafka.logs.get(place)!;
      this.#next.set(place, log.length);
      const messages = log.slice(next).map(
        (message, at): IncomingMessage => ({
          ...message,
          offset: BigInt(next + at),
          timestampMs: 0,
          headers: Object.fromEntries(
            Object.entries(message.headers ?? {}).map(([name, value]) => [name, Buffer.from(value)]),
          ),
        }),
      );
      if (messages.length > 0) void this.options.onMessages(messages);
    }
  }
}

function placeOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}:${partition}`;
}

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const links: KafkaLink[] = [];

afterEach(async () => {
  await Promise.all(links.splice(0).map((link) => link.stop()));
});

function setUp(kafka = new FakeKafka(), options: Partial<KafkaLinkOptions> = {}) {
  const events: string[] = [];
  const link = new KafkaLink({
    port: kafka.port,
    nodeId: 'n',
    inbox: 'inbox',
    all: 'all',
    topicConfig: {},
    partitions: 3,
    replicationFactor: 1,
    maxFetchBytes: 1_000,
    fetchWaitMs: 10,
    graceMs: 100,
    logger: quiet,
    onPacket: ({ value }) => events.push(String(value)),
    onHeard: () => undefined,
    onJoined: () => events.push('joined'),
    onAway: () => events.push('away'),
    ...options,
  });
  links.push(link);
  return { kafka, link, events };
}

const trouble = () => new KafkaError('KAFKA_UNAVAILABLE', 'trouble', { retryable: true });

describe('the link to Kafka', () => {
  it('is joined when its probe came back from both topics, and not before', async () => {
    const kafka = new FakeKafka();
    kafka.canRead = false;
    const { link, events } = setUp(kafka);
    link.start();
    await soon('a probe is sent', () => kafka.log('all').length > 0);
    expect(link.joined).toBe(false);
    kafka.canRead = true;
    kafka.readers[0]!.pull();
    await soon('it joins', () => link.joined);
    expect(events).toEqual(['joined']);
  });

  it('holds packets that come before the way back is proven, and hands them over then', async () => {
    const kafka = new FakeKafka();
    kafka.canPublish = false;
    const { link, events } = setUp(kafka);
    link.start();
    await soon('it reads', () => kafka.readers[0]?.running === true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    kafka.append('inbox', 'early');
    expect(events).toEqual([]);
    kafka.canPublish = true;
    await soon('it joins', () => link.joined);
    kafka.append('inbox', 'later');
    expect(events).toEqual(['joined', 'early', 'later']);
  });

  it('stays joined when the suspicion was wrong', async () => {
    const { kafka, link, events } = setUp();
    link.start();
    await soon('it joins', () => link.joined);
    const before = kafka.log('inbox').length;
    link.suspect(trouble());
    await soon('a probe is sent', () => kafka.log('inbox').length > before);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect({ events, publishers: kafka.publishers }).toEqual({ events: ['joined'], publishers: 1 });
  });

  it('leaves when no probe comes back, throws its clients away and reads on where it was', async () => {
    const { kafka, link, events } = setUp();
    link.start();
    await soon('it joins', () => link.joined);
    kafka.append('inbox', 'one');
    kafka.canRead = false;
    kafka.readers[0]!.options.onStateChange?.('disconnected', trouble());
    await soon('it leaves', () => events.includes('away'));
    kafka.append('inbox', 'two');
    kafka.canRead = true;
    await soon('it joins again', () => link.joined);
    expect(events).toEqual(['joined', 'one', 'away', 'joined', 'two']);
    expect(kafka.publishers).toBeGreaterThan(1);
    expect(kafka.readers[0]!.running).toBe(false);
  });

  it('leaves at once when a topic is gone, which waiting does not bring back', async () => {
    const { kafka, link, events } = setUp(new FakeKafka(), { graceMs: 60_000 });
    link.start();
    await soon('it joins', () => link.joined);
    const gone = new KafkaError('KAFKA_UNKNOWN_TOPIC_OR_PARTITION', 'gone', { retryable: true });
    kafka.readers[0]!.options.onStateChange?.('disconnected', gone);
    await soon('it joins again', () => events.length === 3);
    expect(events).toEqual(['joined', 'away', 'joined']);
  });

  it('joins by the partitions that are there, reads all of them, and each on where it was', async () => {
    const kafka = new FakeKafka(3);
    kafka.dead.add(0);
    const { link, events } = setUp(kafka, {
      // Comes while nobody reads.
      onAway: () => {
        events.push('away');
        kafka.append('inbox', 'again by 2', 2);
      },
    });
    link.start();
    await soon('it joins', () => link.joined);
    expect(link.hasDetours).toBe(true);
    expect(kafka.log('inbox', 1)).toHaveLength(1);
    for (const partition of [2, 1, 0]) kafka.append('inbox', `by ${partition}`, partition);
    kafka.canPublish = false;
    kafka.canRead = false;
    kafka.readers[0]!.options.onStateChange?.('disconnected', trouble());
    await soon('it leaves', () => events.includes('away'));
    kafka.canPublish = true;
    kafka.canRead = true;
    await soon('it joins again', () => link.joined);
    expect(events).toEqual(['joined', 'by 2', 'by 1', 'by 0', 'away', 'joined', 'again by 2']);
  });

  it('has one way only where there is one broker', async () => {
    const { kafka, link } = setUp();
    link.start();
    await soon('it joins', () => link.joined);
    expect(link.hasDetours).toBe(false);
    expect(kafka.readers[0]!.options.partitions).toHaveLength(2);
  });

  it('can be stopped while it waits for a broker that says nothing', async () => {
    const kafka = new FakeKafka();
    kafka.isSilent = true;
    const { link } = setUp(kafka);
    link.start();
    const startedMs = performance.now();
    await link.stop();
    expect(performance.now() - startedMs).toBeLessThan(20_000);
  });
});

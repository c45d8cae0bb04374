import { afterEach, describe, expect, it } from '@jest/globals';
import { KafkaError } from '../kafka/errors.ts';
import type { IncomingMessage, OutgoingMessage, PartitionReaderOptions, ReadingKafkaPort } from '../kafka/port.ts';
import { KafkaLink, type KafkaLinkOptions } from './kafka-link.ts';
import { until } from './testing/nodes.ts';

/** Kafka in memory: two topics, and faults by switches. */
class FakeKafka {
  readonly logs = new Map<string, OutgoingMessage[]>([
    ['inbox', []],
    ['all', []],
  ]);
  readonly readers: FakeReader[] = [];
  publishers = 0;
  canPublish = true;
  canRead = true;
  /** A broker that never answers. */
  isSilent = false;

  append(topic: string, value: string): void {
    this.store({ topic, partition: 0, key: null, value: Buffer.from(value), headers: { type: 'REQ' } });
  }

  store(message: OutgoingMessage): void {
    this.logs.get(message.topic)!.push(message);
    for (const reader of this.readers) reader.pull();
  }

  get port(): ReadingKafkaPort {
    return {
      admin: () => ({
        describeTopic: () => (this.isSilent ? new Promise(() => {}) : Promise.resolve({})),
        close: async () => undefined,
      }),
      publisher: () => {
        this.publishers++;
        return {
          publish: async (messages: readonly OutgoingMessage[]) => {
            const { topic, partition } = messages[0]!;
            const error = new KafkaError('KAFKA_UNAVAILABLE', 'no way', { retryable: true });
            if (!this.canPublish) return { acknowledged: [], failed: [{ topic, partition, error }] };
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
  readonly #kafka: FakeKafka;
  readonly options: PartitionReaderOptions;
  readonly #next = new Map<string, number>();
  running = false;

  constructor(kafka: FakeKafka, options: PartitionReaderOptions) {
    this.#kafka = kafka;
    this.options = options;
    for (const { topic, from } of options.partitions) {
      this.#next.set(topic, from === 'end' ? kafka.logs.get(topic)!.length : Number(from));
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
    for (const [topic, next] of this.#next) {
      const log = this.#kafka.logs.get(topic)!;
      this.#next.set(topic, log.length);
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
    replicationFactor: -1,
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
    await until(() => kafka.logs.get('all')!.length > 0, 2_000, 'no probe was sent');
    expect(link.joined).toBe(false);
    kafka.canRead = true;
    kafka.readers[0]!.pull();
    await until(() => link.joined, 2_000, 'it did not join');
    expect(events).toEqual(['joined']);
  });

  it('holds packets that come before the way back is proven, and hands them over then', async () => {
    const kafka = new FakeKafka();
    kafka.canPublish = false;
    const { link, events } = setUp(kafka);
    link.start();
    await until(() => kafka.readers[0]?.running === true, 2_000, 'it does not read');
    await new Promise((resolve) => setTimeout(resolve, 20));
    kafka.append('inbox', 'early');
    expect(events).toEqual([]);
    kafka.canPublish = true;
    await until(() => link.joined, 2_000, 'it did not join');
    kafka.append('inbox', 'later');
    expect(events).toEqual(['joined', 'early', 'later']);
  });

  it('stays joined when the suspicion was wrong', async () => {
    const { kafka, link, events } = setUp();
    link.start();
    await until(() => link.joined, 2_000, 'it did not join');
    const before = kafka.logs.get('inbox')!.length;
    link.suspect(trouble());
    await until(() => kafka.logs.get('inbox')!.length > before, 2_000, 'no probe was sent');
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect({ events, publishers: kafka.publishers }).toEqual({ events: ['joined'], publishers: 1 });
  });

  it('leaves when no probe comes back, throws its clients away and reads on where it was', async () => {
    const { kafka, link, events } = setUp();
    link.start();
    await until(() => link.joined, 2_000, 'it did not join');
    kafka.append('inbox', 'one');
    kafka.canRead = false;
    kafka.readers[0]!.options.onStateChange?.('disconnected', trouble());
    await until(() => events.includes('away'), 2_000, 'it did not leave');
    kafka.append('inbox', 'two');
    kafka.canRead = true;
    await until(() => link.joined, 5_000, 'it did not join again');
    expect(events).toEqual(['joined', 'one', 'away', 'joined', 'two']);
    expect(kafka.publishers).toBeGreaterThan(1);
    expect(kafka.readers[0]!.running).toBe(false);
  });

  it('leaves at once when a topic is gone, which waiting does not bring back', async () => {
    const { kafka, link, events } = setUp(new FakeKafka(), { graceMs: 60_000 });
    link.start();
    await until(() => link.joined, 2_000, 'it did not join');
    const gone = new KafkaError('KAFKA_UNKNOWN_TOPIC_OR_PARTITION', 'gone', { retryable: true });
    kafka.readers[0]!.options.onStateChange?.('disconnected', gone);
    await until(() => events.length === 3, 2_000, 'it did not join again');
    expect(events).toEqual(['joined', 'away', 'joined']);
  });

  it('can be stopped while it waits for a broker that says nothing', async () => {
    const kafka = new FakeKafka();
    kafka.isSilent = true;
    const { link } = setUp(kafka);
    link.start();
    const startedMs = performance.now();
    await link.stop();
    expect(performance.now() - startedMs).toBeLessThan(2_500);
  });
});

import type { Clock } from '../../clock/clock.ts';
import type {
  BatchContext,
  Consumer,
  ConsumerOptions,
  ConsumerStatus,
  IncomingBatch,
  KafkaPort,
} from '../../kafka/port.ts';

/** A consumer that does nothing by itself: the test plays the adapter. */
export interface FakeConsumer extends Consumer {
  options: ConsumerOptions;
  started: boolean;
  stopped: boolean;
  current: ConsumerStatus;
  /** Hands over a batch as the owner of its partition. */
  deliver(batch: IncomingBatch, signal?: AbortSignal): Promise<{ resolvedOffset?: bigint } | undefined>;
}

export interface FakeKafka extends Pick<KafkaPort, 'consumer' | 'admin'> {
  consumers: FakeConsumer[];
  /** Ends of the partitions of every topic, as `admin().offsets` answers them; an error is thrown. */
  ends: bigint[] | Error;
  /** What `stop()` of the consumers waits for. */
  stopping: Promise<void>;
}

export function fakeKafka(clock: Clock): FakeKafka {
  const fake: FakeKafka = {
    consumers: [],
    ends: [],
    stopping: Promise.resolve(),
    consumer(options) {
      const consumer: FakeConsumer = {
        options,
        started: false,
        stopped: false,
        current: { state: 'running', assigned: [], lastProgressMs: clock.monotonicMs(), lastError: null },
        async start() {
          consumer.started = true;
        },
        async stop() {
          await fake.stopping;
          consumer.stopped = true;
        },
        pause() {},
        resume() {},
        status: () => consumer.current,
        deliver(batch, signal = new AbortController().signal) {
          const context: BatchContext = { isOwner: () => !signal.aborted, signal };
          return options.onBatch(batch, context);
        },
      };
      fake.consumers.push(consumer);
      return consumer;
    },
    admin: () =>
      ({
        async offsets() {
          if (fake.ends instanceof Error) throw fake.ends;
          return fake.ends.map((end, partition) => ({ partition, beginning: 0n, end }));
        },
        async close() {},
      }) as unknown as ReturnType<KafkaPort['admin']>,
  };
  return fake;
}

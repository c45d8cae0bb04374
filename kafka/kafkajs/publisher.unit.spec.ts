import { describe, expect, it } from '@jest/globals';
import { KafkaError, type KafkaErrorCode } from '../errors.ts';
import type { PartitionMessages } from '../outgoing.ts';
import type { OutgoingMessage } from '../port.ts';
import type { Answer, OneShotProducer } from './producer.ts';
import { GuardedPublisher, type GuardedPublisherOptions } from './publisher.ts';

/** A broker that keeps what it is sent and answers as the test says. */
class FakeBroker {
  readonly stored: string[] = [];
  readonly producers: { sends: number; killed: boolean }[] = [];
  /** For each send: nothing, an error, or the partitions that get no answer. Then all is well. */
  script: ((parts: readonly PartitionMessages[]) => Answer[] | Promise<Answer[]>)[] = [];
  inFlight = 0;
  mostInFlight = 0;

  readonly open = async (): Promise<OneShotProducer> => {
    const producer = { sends: 0, killed: false };
    this.producers.push(producer);
    return {
      send: async (parts) => {
        producer.sends++;
        this.mostInFlight = Math.max(this.mostInFlight, ++this.inFlight);
        await Promise.resolve();
        try {
          return await (this.script.shift() ?? ((sent) => this.store(sent)))(parts);
        } finally {
          this.inFlight--;
        }
      },
      kill: () => {
        producer.killed = true;
      },
    };
  };

  store(parts: readonly PartitionMessages[]): Answer[] {
    for (const part of parts) for (const { value } of part.messages) this.stored.push(`${part.partition}:${value}`);
    return parts.map(({ topic, partition }) => ({ topic, partition, baseOffset: 7n }));
  }
}

function message(partition: number, value: string): OutgoingMessage {
  return { topic: 't', partition, key: null, value: Buffer.from(value) };
}

function failing(code: KafkaErrorCode, retryable = true): never {
  throw new KafkaError(code, code, { retryable });
}

/** A clock that only sleeping moves. */
function publisherOn(broker: FakeBroker, options: Partial<GuardedPublisherOptions> = {}): GuardedPublisher {
  let nowMs = 0;
  return new GuardedPublisher({
    open: broker.open,
    deliveryTimeoutMs: 10_000,
    now: () => nowMs,
    sleep: async (ms) => {
      nowMs += Math.max(1, ms);
    },
    ...options,
  });
}

describe('guarded publisher', () => {
  it('keeps one producer as long as all is well', async () => {
    const broker = new FakeBroker();
    const publisher = publisherOn(broker);
    await publisher.publish([message(0, 'a')]);
    const { acknowledged } = await publisher.publish([message(0, 'b'), message(1, 'c')]);
    expect(acknowledged).toEqual([
      { topic: 't', partition: 0, baseOffset: 7n, count: 1 },
      { topic: 't', partition: 1, baseOffset: 7n, count: 1 },
    ]);
    expect(broker.producers).toEqual([{ sends: 2, killed: false }]);
    await publisher.close();
    expect(broker.producers[0]!.killed).toBe(true);
  });

  it('never has two requests in flight', async () => {
    const broker = new FakeBroker();
    const publisher = publisherOn(broker);
    await Promise.all(['a', 'b', 'c'].map((value) => publisher.publish([message(0, value)])));
    expect(broker.mostInFlight).toBe(1);
    expect(broker.stored).toEqual(['0:a', '0:b', '0:c']);
  });

  it('takes a short answer for a failure: all is sent again on a new producer', async () => {
    const broker = new FakeBroker();
    broker.script = [(parts) => broker.store(parts.filter(({ partition }) => partition !== 1))];
    const report = await publisherOn(broker).publish([message(0, 'a'), message(1, 'b')]);
    expect(report.failed).toEqual([]);
    expect(broker.stored).toEqual(['0:a', '0:a', '1:b']);
    expect(broker.producers).toEqual([
      { sends: 1, killed: true },
      { sends: 1, killed: false },
    ]);
  });

  it('throws a producer away after any error, and sends the whole request again on a new one', async () => {
    const broker = new FakeBroker();
    const lost = (parts: readonly PartitionMessages[]) => {
      broker.store(parts);
      throw new Error('the answer was lost');
    };
    broker.script = [lost, lost];
    const report = await publisherOn(broker).publish([message(0, 'a')]);
    expect(report.acknowledged).toHaveLength(1);
    expect(broker.stored).toEqual(['0:a', '0:a', '0:a']);
    expect(broker.producers.map(({ killed }) => killed)).toEqual([true, true, false]);
  });

  it('reports what failed when the time is up, with the last error, and goes on with the next call', async () => {
    const broker = new FakeBroker();
    broker.script = Array(1000).fill(() => failing('KAFKA_NOT_ACKNOWLEDGED'));
    const publisher = publisherOn(broker);
    const report = await publisher.publish([message(0, 'a'), message(1, 'b')]);
    expect(report.acknowledged).toEqual([]);
    expect(report.failed.map(({ partition, error }) => [partition, error.code])).toEqual([
      [0, 'KAFKA_NOT_ACKNOWLEDGED'],
      [1, 'KAFKA_NOT_ACKNOWLEDGED'],
    ]);
    broker.script = [];
    expect((await publisher.publish([message(0, 'b')])).failed).toEqual([]);
  });

  it('gives up a send that never answers, and ends its producer', async () => {
    const broker = new FakeBroker();
    broker.script = [() => new Promise(() => {})];
    const report = await publisherOn(broker, { deliveryTimeoutMs: 500, now: undefined, sleep: undefined }).publish([
      message(0, 'a'),
    ]);
    expect(report.failed[0]!.error.code).toBe('KAFKA_UNAVAILABLE');
    expect(broker.producers).toEqual([{ sends: 1, killed: true }]);
  });

  it('ends a producer whose connection comes too late', async () => {
    const broker = new FakeBroker();
    const gate = Promise.withResolvers<void>();
    const open = () => gate.promise.then(broker.open);
    const publisher = publisherOn(broker, { open, deliveryTimeoutMs: 500, now: undefined, sleep: undefined });
    expect((await publisher.publish([message(0, 'a')])).failed).toHaveLength(1);
    gate.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    expect(broker.producers).toEqual([{ sends: 0, killed: true }]);
    expect(broker.stored).toEqual([]);
  });

  it('counts the time in the queue', async () => {
    const broker = new FakeBroker();
    broker.script = Array(1000).fill(() => failing('KAFKA_UNAVAILABLE'));
    const publisher = publisherOn(broker);
    const [first, second] = await Promise.all([
      publisher.publish([message(0, 'a')]),
      publisher.publish([message(0, 'b')]),
    ]);
    expect(first.failed).toHaveLength(1);
    const sends = broker.producers.length;
    expect(second.failed).toHaveLength(1);
    expect(broker.producers.length).toBe(sends);
  });

  it('isolates a message that is too large: others go through, what is later in its partition does not', async () => {
    const broker = new FakeBroker();
    const send = (parts: readonly PartitionMessages[]) => {
      const large = parts.some(({ messages }) => messages.some(({ value }) => String(value) === 'large'));
      return large ? failing('KAFKA_MESSAGE_TOO_LARGE', false) : broker.store(parts);
    };
    broker.script = Array(100).fill(send);
    const batch = ['0:a', '1:b', '1:c', '1:large', '1:d', '2:e', '3:f'].map((text) =>
      message(Number(text[0]), text.slice(2)),
    );
    const report = await publisherOn(broker).publish(batch);
    expect(report.acknowledged.map(({ partition }) => partition)).toEqual([0, 2, 3]);
    expect(report.failed).toMatchObject([
      { partition: 1, refused: [3], error: { code: 'KAFKA_MESSAGE_TOO_LARGE', retryable: false } },
    ]);
    expect(broker.stored).toEqual(expect.arrayContaining(['0:a', '1:b', '1:c', '2:e', '3:f']));
    expect(broker.stored).not.toContain('1:d');
  });

  it('waits a moment for an unknown partition, and not for the others of the batch', async () => {
    const broker = new FakeBroker();
    const send = (parts: readonly PartitionMessages[]) =>
      parts.some(({ partition }) => partition === 9)
        ? failing('KAFKA_UNKNOWN_TOPIC_OR_PARTITION')
        : broker.store(parts);
    broker.script = Array(100).fill(send);
    const report = await publisherOn(broker).publish([message(0, 'a'), message(9, 'b')]);
    expect(report.acknowledged.map(({ partition }) => partition)).toEqual([0]);
    expect(report.failed.map(({ partition }) => partition)).toEqual([9]);
    expect(broker.stored).toEqual(['0:a']);
    expect(broker.producers.length).toBeGreaterThan(3);
  });

  it('does not isolate what is no fault of the messages', async () => {
    const broker = new FakeBroker();
    broker.script = [() => failing('KAFKA_UNAVAILABLE'), () => failing('KAFKA_FENCED', false)];
    await publisherOn(broker).publish([message(0, 'a'), message(1, 'b')]);
    expect(broker.stored).toEqual(['0:a', '1:b']);
  });

  it('sends nothing more of a partition of which an earlier request failed', async () => {
    const broker = new FakeBroker();
    broker.script = [() => failing('KAFKA_MESSAGE_TOO_LARGE', false)];
    const limits = { partitionBytes: 1_000_000, partitionMessages: 1, requestBytes: 1_000_000 };
    const report = await publisherOn(broker, { limits }).publish([message(0, 'a'), message(0, 'b')]);
    expect(report.failed).toMatchObject([{ partition: 0, refused: [0] }]);
    expect(broker.stored).toEqual([]);
  });
});

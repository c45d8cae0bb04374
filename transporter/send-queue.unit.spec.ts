import { describe, expect, it } from '@jest/globals';
import { KafkaError } from '../kafka/errors.ts';
import type { OutgoingMessage, Publisher, PublishReport } from '../kafka/port.ts';
import { SendQueue, type SendQueueOptions } from './send-queue.ts';

/** A publisher whose answers the test gives. */
class HeldPublisher implements Publisher {
  readonly requests: { messages: readonly OutgoingMessage[]; answer(error?: KafkaError): void }[] = [];

  publish(messages: readonly OutgoingMessage[]): Promise<PublishReport> {
    return new Promise((resolve) => {
      const { topic, partition } = messages[0]!;
      this.requests.push({
        messages,
        answer: (error) =>
          resolve(
            error
              ? { acknowledged: [], failed: [{ topic, partition, error }] }
              : { acknowledged: [{ topic, partition, baseOffset: null, count: messages.length }], failed: [] },
          ),
      });
    });
  }

  async close(): Promise<void> {}
}

function setUp(options: Partial<SendQueueOptions> = {}) {
  const publisher = new HeldPublisher();
  const dropped: string[] = [];
  const clock = { nowMs: 0 };
  const queue = new SendQueue({
    publisher: () => publisher,
    maxQueuedPackets: 1_000,
    maxQueuedBytes: 10_000_000,
    maxPacketBytes: 1_000_000,
    nowMs: () => clock.nowMs,
    onSent: () => undefined,
    onDropped: (reason, packets) => dropped.push(`${reason} ${packets}`),
    ...options,
  });
  const push = (topic: string, text: string | Buffer, ttlMs = 1_000) =>
    queue.push({ topic, type: 'REQ', data: Buffer.from(text as string), headers: {}, ttlMs });
  const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  const sent = () => publisher.requests.map(({ messages }) => messages.map(({ value }) => `${value}`.slice(0, 8)));
  return { queue, publisher, dropped, clock, push, turn, sent };
}

describe('send queue', () => {
  it('sends what comes together as one batch, and what comes meanwhile as the next one', async () => {
    const { push, publisher, turn, sent } = setUp();
    const first = [push('a', '1'), push('a', '2')];
    await turn();
    const second = [push('a', '3'), push('a', '4')];
    await turn();
    expect(sent()).toEqual([['1', '2']]);
    publisher.requests[0]!.answer();
    await Promise.all(first);
    await turn();
    expect(sent()).toEqual([
      ['1', '2'],
      ['3', '4'],
    ]);
    publisher.requests[1]!.answer();
    await Promise.all(second);
  });

  it('does not let one topic wait for another', async () => {
    const { push, publisher, turn, sent } = setUp();
    void push('slow', '1');
    await turn();
    const quick = push('quick', '2');
    await turn();
    expect(sent()).toEqual([['1'], ['2']]);
    publisher.requests[1]!.answer();
    await quick;
    publisher.requests[0]!.answer();
  });

  it('sends large packets alone', async () => {
    const { push, publisher, turn, sent } = setUp();
    const large = Buffer.alloc(300_000, 'x');
    const all = [push('a', 'small 1'), push('a', large), push('a', 'small 2')];
    for (let request = 0; request < 3; request++) {
      await turn();
      publisher.requests[request]!.answer();
    }
    await Promise.all(all);
    expect(sent()).toEqual([['small 1'], ['xxxxxxxx'], ['small 2']]);
  });

  it('takes no more packets and bytes than allowed, and says both', async () => {
    const { push, publisher, turn, queue, dropped } = setUp({ maxQueuedPackets: 2, maxQueuedBytes: 10 });
    const first = push('a', '123456');
    await expect(push('a', '12345')).rejects.toMatchObject({ type: 'KAFKA_BACKLOG_FULL', code: 503, retryable: true });
    const second = push('a', '1');
    await expect(push('a', '1')).rejects.toThrow('2 packets with 7 bytes; allowed are 2 and 10');
    expect(dropped).toEqual(['full 1', 'full 1']);
    await turn();
    publisher.requests[0]!.answer();
    await Promise.all([first, second]);
    expect(queue).toMatchObject({ packets: 0, bytes: 0 });
    await turn();
  });

  it('drops what waited longer than it is useful', async () => {
    const { push, publisher, turn, clock, sent, dropped } = setUp();
    const first = push('a', '1');
    await turn();
    const late = push('a', 'late', 100);
    const patient = push('a', 'patient', 10_000);
    clock.nowMs = 101;
    publisher.requests[0]!.answer();
    await expect(late).rejects.toMatchObject({ type: 'KAFKA_UNAVAILABLE' });
    await turn();
    publisher.requests[1]!.answer();
    await Promise.all([first, patient]);
    expect(sent()).toEqual([['1'], ['patient']]);
    expect(dropped).toEqual(['expired 1']);
  });

  it('tells a packet that was not stored from one that may be', async () => {
    const { push, publisher, turn } = setUp();
    const failing = async (
      code: 'KAFKA_UNAVAILABLE' | 'KAFKA_NOT_ACKNOWLEDGED' | 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION',
    ) => {
      const packet = push('a', '1');
      await turn();
      publisher.requests.at(-1)!.answer(new KafkaError(code, 'no', { retryable: true }));
      return packet.catch((error) => error.type);
    };
    expect(await failing('KAFKA_UNAVAILABLE')).toBe('KAFKA_UNAVAILABLE');
    expect(await failing('KAFKA_UNKNOWN_TOPIC_OR_PARTITION')).toBe('KAFKA_UNAVAILABLE');
    expect(await failing('KAFKA_NOT_ACKNOWLEDGED')).toBe('KAFKA_NOT_ACKNOWLEDGED');
  });

  it('fails at once what waits when Kafka is away, and can be used again', async () => {
    const { push, publisher, turn, queue, sent } = setUp();
    const onItsWay = push('a', '1');
    await turn();
    const waiting = push('a', '2');
    queue.failWaiting('Kafka is away');
    await expect(waiting).rejects.toMatchObject({ type: 'KAFKA_UNAVAILABLE' });
    publisher.requests[0]!.answer();
    await onItsWay;
    const again = push('a', '3');
    await turn();
    publisher.requests[1]!.answer();
    await again;
    expect(sent()).toEqual([['1'], ['3']]);
  });

  it('says when nothing waits any more, or that the time is over', async () => {
    const { push, publisher, turn, queue } = setUp();
    await queue.drained(1);
    const packet = push('a', '1');
    await queue.drained(10);
    expect(queue.packets).toBe(1);
    const drained = queue.drained(60_000);
    await turn();
    publisher.requests[0]!.answer();
    await Promise.all([packet, drained]);
    expect(queue.packets).toBe(0);
  });
});

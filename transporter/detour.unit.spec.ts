import { describe, expect, it } from '@jest/globals';
import { KafkaError, type KafkaErrorCode } from '../kafka/errors.ts';
import type { OutgoingMessage, Publisher } from '../kafka/port.ts';
import { type Attempt, DetouringPublisher, nextAttempt } from './detour.ts';

const first: Attempt = { partition: 0, partitions: null, inDoubt: false };

describe('after a failed attempt a batch', () => {
  it('goes to the next partition, and from the last one to the first', () => {
    expect(nextAttempt(first, 'KAFKA_UNAVAILABLE')).toEqual({ ...first, partition: 1 });
    expect(nextAttempt({ ...first, partition: 2, partitions: 3 }, 'KAFKA_UNAVAILABLE')?.partition).toBe(0);
  });

  it('remembers that it may be stored', () => {
    const second = nextAttempt(first, 'KAFKA_NOT_ACKNOWLEDGED');
    expect(second).toEqual({ partition: 1, partitions: null, inDoubt: true });
    expect(nextAttempt(second!, 'KAFKA_UNAVAILABLE')?.inDoubt).toBe(true);
  });

  it('learns how many partitions there are from one that is not', () => {
    expect(nextAttempt({ ...first, partition: 2 }, 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION')).toEqual({
      partition: 0,
      partitions: 2,
      inDoubt: false,
    });
  });

  it('is not sent again to a topic of one partition that may have it, and is where that certainly has not', () => {
    const one = nextAttempt({ ...first, partition: 1 }, 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION')!;
    expect(one).toEqual({ partition: 0, partitions: 1, inDoubt: false });
    expect(nextAttempt(one, 'KAFKA_UNAVAILABLE')).toEqual(one);
    expect(nextAttempt(one, 'KAFKA_NOT_ACKNOWLEDGED')).toBeNull();
    expect(nextAttempt({ ...first, partition: 1, inDoubt: true }, 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION')).toBeNull();
  });

  it('goes nowhere when the topic is not there, or will never take it', () => {
    expect(nextAttempt(first, 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION')).toBeNull();
    expect(nextAttempt(first, 'KAFKA_MESSAGE_TOO_LARGE')).toBeNull();
    expect(nextAttempt(first, 'KAFKA_NOT_AUTHORIZED')).toBeNull();
  });
});

/** Topics of three partitions; `down` says what a partition answers. Time passes by requests and pauses only. */
function setUp(graceMs = 1_000, down: Record<string, KafkaErrorCode> = {}) {
  const requests: string[] = [];
  const clock = { nowMs: 0 };
  const raw: Publisher = {
    async publish(messages: readonly OutgoingMessage[]) {
      const { topic, partition } = messages[0]!;
      const place = `${topic}${partition}`;
      requests.push(place);
      clock.nowMs += 10;
      const code = partition > 2 ? 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION' : down[place];
      if (!code) return { acknowledged: [{ topic, partition, baseOffset: 0n, count: messages.length }], failed: [] };
      const error = new KafkaError(code, 'no', { retryable: true });
      return { acknowledged: [], failed: [{ topic, partition, error }] };
    },
    close: async () => undefined,
  };
  const publisher = new DetouringPublisher({
    publisher: raw,
    graceMs,
    nowMs: () => clock.nowMs,
    pause: async (ms) => {
      clock.nowMs += ms;
    },
  });
  const send = (topic: string) => publisher.publish([{ topic, partition: 0, key: null, value: Buffer.from('x') }]);
  return { requests, down, clock, send, publisher };
}

describe('the publisher that goes around dead partitions', () => {
  it('takes the first partition, and the next one only after a failure, for that topic', async () => {
    const { requests, down, send } = setUp();
    await send('a');
    down.a0 = 'KAFKA_UNAVAILABLE';
    expect((await send('a')).failed).toEqual([]);
    await send('b');
    expect(requests).toEqual(['a0', 'a0', 'a1', 'b0']);
  });

  it('stays with the partition that took it, also when the first one is back', async () => {
    const { requests, down, send } = setUp(1_000, { a0: 'KAFKA_NOT_ACKNOWLEDGED' });
    await send('a');
    delete down.a0;
    await send('a');
    down.a1 = 'KAFKA_UNAVAILABLE';
    down.a2 = 'KAFKA_UNAVAILABLE';
    await send('a');
    expect(requests).toEqual(['a0', 'a1', 'a1', 'a1', 'a2', 'a3', 'a0']);
  });

  it('tries on in rounds until the grace time is over, and tells the doubt of any try', async () => {
    const { clock, send } = setUp(1_000, {
      a0: 'KAFKA_UNAVAILABLE',
      a1: 'KAFKA_NOT_ACKNOWLEDGED',
      a2: 'KAFKA_UNAVAILABLE',
    });
    const { failed } = await send('a');
    expect(failed[0]!.error).toMatchObject({ code: 'KAFKA_NOT_ACKNOWLEDGED', retryable: true });
    expect(clock.nowMs).toBeGreaterThanOrEqual(1_000);
    expect(clock.nowMs).toBeLessThan(1_100);
  });

  it('answers for several topics at once, each by its own way', async () => {
    const { publisher } = setUp(100, { a0: 'KAFKA_MESSAGE_TOO_LARGE', b0: 'KAFKA_UNAVAILABLE' });
    const message = (topic: string) => ({ topic, partition: 0, key: null, value: null });
    const report = await publisher.publish([message('a'), message('b'), message('b')]);
    expect(report.failed.map(({ topic, error }) => `${topic} ${error.code}`)).toEqual(['a KAFKA_MESSAGE_TOO_LARGE']);
    expect(report.acknowledged).toMatchObject([{ topic: 'b', partition: 1, count: 2 }]);
  });
});

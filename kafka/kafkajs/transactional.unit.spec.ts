import { describe, expect, it } from '@jest/globals';
import { KafkaError, type KafkaErrorCode } from '../errors.ts';
import type { OutgoingMessage } from '../port.ts';
import type { OpenTransaction } from './producer.ts';
import { KafkajsTransactionalPublisher } from './transactional.ts';

/** A coordinator that notes what it is asked, and fails as the test says. */
class FakeCoordinator {
  readonly log: string[] = [];
  silentPartition: number | null = null;
  failing: Partial<Record<'open' | 'begin' | 'send' | 'commit' | 'abort', KafkaErrorCode>> = {};

  readonly open = async () => {
    this.#do('open');
    return {
      begin: async (): Promise<OpenTransaction> => {
        this.#do('begin');
        return {
          send: async (parts) => {
            this.#do('send');
            return parts
              .filter(({ partition }) => partition !== this.silentPartition)
              .map(({ topic, partition }) => ({ topic, partition, baseOffset: 5n }));
          },
          commit: async () => this.#do('commit'),
          abort: async () => this.#do('abort'),
        };
      },
      kill: () => {
        this.log.push('kill');
      },
    };
  };

  #do(step: keyof FakeCoordinator['failing']): void {
    this.log.push(step);
    const code = this.failing[step];
    if (code) throw new KafkaError(code, code, { retryable: false });
  }
}

const message = (partition: number): OutgoingMessage => ({ topic: 't', partition, key: null, value: null });

function publisherOn(coordinator: FakeCoordinator): KafkajsTransactionalPublisher {
  return new KafkajsTransactionalPublisher({
    transactionalId: 'tx',
    transactionTimeoutMs: 1000,
    requestTimeoutMs: 500,
    open: coordinator.open,
  });
}

describe('transactional publisher on kafkajs', () => {
  it('uses one producer from fence to fence', async () => {
    const coordinator = new FakeCoordinator();
    const publisher = publisherOn(coordinator);
    await publisher.fence();
    const { report } = await publisher.transaction([message(0), message(1), message(0)]);
    await publisher.transaction([message(0)]);
    expect(report).toEqual({
      failed: [],
      acknowledged: [
        { topic: 't', partition: 0, baseOffset: 5n, count: 2 },
        { topic: 't', partition: 1, baseOffset: 5n, count: 1 },
      ],
    });
    expect(coordinator.log).toEqual(['open', 'begin', 'send', 'send', 'commit', 'begin', 'send', 'commit']);
  });

  it('compares the answers before the commit, and aborts where one is missing', async () => {
    const coordinator = new FakeCoordinator();
    coordinator.silentPartition = 1;
    const publisher = publisherOn(coordinator);
    await publisher.fence();
    const call = publisher.transaction([message(0), message(1)]);
    await expect(call).rejects.toMatchObject({
      code: 'KAFKA_NOT_ACKNOWLEDGED',
      message: expect.stringContaining('t[1]'),
    });
    expect(coordinator.log).toEqual(['open', 'begin', 'send', 'send', 'abort', 'kill']);
  });

  it.each([
    ['begin', 'KAFKA_UNAVAILABLE', 'KAFKA_UNAVAILABLE'],
    ['send', 'KAFKA_FENCED', 'KAFKA_FENCED'],
    ['send', 'KAFKA_MESSAGE_TOO_LARGE', 'KAFKA_MESSAGE_TOO_LARGE'],
    ['commit', 'KAFKA_FENCED', 'KAFKA_FENCED'],
    ['commit', 'KAFKA_UNAVAILABLE', 'KAFKA_COMMIT_UNKNOWN'],
    ['commit', 'KAFKA_UNEXPECTED', 'KAFKA_COMMIT_UNKNOWN'],
  ] as const)('when %s fails with %s it throws %s, ends the producer and wants a fence', async (step, code, thrown) => {
    const coordinator = new FakeCoordinator();
    const publisher = publisherOn(coordinator);
    await publisher.fence();
    await publisher.transaction([message(0)]);
    coordinator.failing = { [step]: code };
    await expect(publisher.transaction([message(0)])).rejects.toMatchObject({ code: thrown });
    expect(coordinator.log.at(-1)).toBe('kill');
    expect(coordinator.log.includes('abort')).toBe(step === 'send' && thrown !== 'KAFKA_FENCED');
    coordinator.failing = {};
    await expect(publisher.transaction([message(0)])).rejects.toMatchObject({ code: 'KAFKA_FENCE_REQUIRED' });
    await publisher.fence();
    await publisher.transaction([message(0)]);
  });

  it('is not ready after a fence that failed', async () => {
    const coordinator = new FakeCoordinator();
    coordinator.failing = { begin: 'KAFKA_UNAVAILABLE' };
    const publisher = publisherOn(coordinator);
    await expect(publisher.fence()).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE' });
    expect(coordinator.log).toContain('kill');
    await expect(publisher.transaction([message(0)])).rejects.toMatchObject({ code: 'KAFKA_FENCE_REQUIRED' });
  });

  it('refuses a malformed batch without using up the fence', async () => {
    const publisher = publisherOn(new FakeCoordinator());
    await publisher.fence();
    await expect(publisher.transaction([message(-1)])).rejects.toMatchObject({ code: 'KAFKA_BAD_ARGUMENT' });
    await publisher.transaction([message(0)]);
    await publisher.close();
    await expect(publisher.transaction([message(0)])).rejects.toMatchObject({ code: 'KAFKA_CLOSED' });
  });
});

import { beforeEach, describe, expect, it } from '@jest/globals';
import kafkajs, { type EachBatchPayload } from 'kafkajs';
import type { ConsumerOptions } from '../port.ts';
import type { Assignment } from './assignment.ts';
import { BatchWork } from './batch-work.ts';
import { Tenure } from './tenure.ts';

const protocolError = (type: string) =>
  new kafkajs.KafkaJSProtocolError({ type, code: 1, retriable: false, message: type } as never);

const turn = () => new Promise((resolve) => setImmediate(resolve));

const tenureFrom = (nowMs: number) =>
  new Tenure([{ topic: 't', partition: 0 }], { sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 30_000 }, nowMs);

describe('work on batches', () => {
  let log: string[];
  let tenure: Tenure;
  let flows: boolean;
  let onBatch: ConsumerOptions['onBatch'];
  let work: BatchWork;

  beforeEach(() => {
    log = [];
    flows = true;
    tenure = tenureFrom(performance.now());
    onBatch = async () => undefined;
    const assignment = {
      get tenure() {
        return tenure;
      },
      flows: () => flows,
      end: () => {
        tenure.end();
        log.push('ended');
        return true;
      },
      holdFor: (_place: unknown, ms: number) => log.push(`held ${ms}`),
    } as unknown as Assignment;
    work = new BatchWork({
      assignment,
      onBatch: (batch, context) => onBatch(batch, context),
      logger: undefined,
      onProgress: () => {},
      report: (_error, doing) => log.push(doing),
    });
  });

  /** Three messages at 5, 6 and 7, and a marker at 8. */
  function payload(overrides: Partial<Record<'commit' | 'heartbeat', () => Promise<void>>> = {}): EachBatchPayload {
    return {
      batch: {
        topic: 't',
        partition: 0,
        highWatermark: '9',
        messages: [5, 6, 7].map((offset) => ({ offset: String(offset), timestamp: '0', key: null, value: null })),
        lastOffset: () => '8',
      },
      isStale: () => false,
      heartbeat: overrides.heartbeat ?? (async () => {}),
      resolveOffset: (offset: string) => log.push(`resolved ${offset}`),
      commitOffsetsIfNecessary: async (offsets: { topics: { partitions: { offset: string }[] }[] }) => {
        log.push(`commit ${offsets.topics[0]!.partitions[0]!.offset}`);
        await overrides.commit?.();
      },
    } as unknown as EachBatchPayload;
  }

  it('commits behind the last message and its markers, and resolves after that', async () => {
    await work.take(payload());
    expect(log).toEqual(['commit 9', 'resolved 7']);
  });

  it('commits as far as the user got', async () => {
    onBatch = async () => ({ resolvedOffset: 5n });
    await work.take(payload());
    expect(log).toEqual(['commit 6', 'resolved 5']);
  });

  it('holds the partition for longer with each failure, and starts anew after a success', async () => {
    onBatch = async () => {
      throw new Error('not yet');
    };
    for (let failure = 0; failure < 9; failure++) await work.take(payload());
    expect(log).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000].map((ms) => `held ${ms}`));
    onBatch = async () => undefined;
    await work.take(payload());
    onBatch = async () => ({ resolvedOffset: 4n }); // nothing of it
    log.length = 0;
    await work.take(payload());
    expect(log).toEqual(['held 100']);
  });

  it('does nothing for a partition that is held, paused or gone', async () => {
    flows = false;
    onBatch = async () => {
      throw new Error('must not be called');
    };
    await work.take(payload());
    expect(log).toEqual([]);
  });

  it('tries a commit again while it may', async () => {
    let tries = 0;
    const commit = async () => {
      if (tries++ === 0) throw new Error('the network');
    };
    await work.take(payload({ commit }));
    expect(log).toEqual(['commit 9', 'Committing an offset failed', 'commit 9', 'resolved 7']);
  });

  it.each(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'REBALANCE_IN_PROGRESS'])(
    'takes a commit refused with %s for no error of the batch, and makes kafkajs rejoin',
    async (type) => {
      const refusal = protocolError(type);
      const commit = async () => {
        throw refusal;
      };
      await expect(work.take(payload({ commit }))).rejects.toBe(refusal);
      expect(log).toEqual(type === 'REBALANCE_IN_PROGRESS' ? ['commit 9'] : ['commit 9', 'ended']);
      await expect(work.take(payload())).rejects.toBe(refusal);
      work.reset();
      tenure = tenureFrom(performance.now());
      log.length = 0;
      await work.take(payload());
      expect(log).toEqual(['commit 9', 'resolved 7']);
    },
  );

  it('lets the batch in flight commit when a rebalance is announced, and then makes kafkajs rejoin', async () => {
    const refusal = protocolError('REBALANCE_IN_PROGRESS');
    const gate = Promise.withResolvers<void>();
    let owner: boolean | null = null;
    onBatch = async (_batch, { isOwner }) => {
      await gate.promise;
      owner = isOwner();
      return undefined;
    };
    const heartbeat = async () => {
      throw refusal;
    };
    const taken = work.take(payload({ heartbeat }));
    await turn();
    work.keepAlive();
    await turn();
    gate.resolve();
    await expect(taken).rejects.toBe(refusal);
    expect(owner).toBe(true);
    expect(log).toEqual(['commit 9', 'resolved 7']);
  });

  it('aborts the batch in flight when a heartbeat says that the member is unknown', async () => {
    const refusal = protocolError('UNKNOWN_MEMBER_ID');
    onBatch = async (_batch, { signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      return undefined;
    };
    const heartbeat = async () => {
      throw refusal;
    };
    const taken = work.take(payload({ heartbeat }));
    await turn();
    work.keepAlive();
    await expect(taken).rejects.toBe(refusal);
    expect(log).toEqual(['ended']);
  });

  it('commits nothing once the coordinator was silent for too long', async () => {
    tenure = tenureFrom(performance.now() - 9500);
    await work.take(payload());
    expect(log).toEqual([]);
  });
});

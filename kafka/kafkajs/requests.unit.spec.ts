import { describe, expect, it } from '@jest/globals';
import { byPartition, sizeOf } from '../outgoing.ts';
import type { OutgoingMessage } from '../port.ts';
import { requestsOf } from './requests.ts';

const message = (partition: number, bytes: number): OutgoingMessage => ({
  topic: 't',
  partition,
  key: null,
  value: Buffer.alloc(bytes),
});

describe('requests', () => {
  it('keep each partition’s order, and have it once in a request', () => {
    const batch = Array.from({ length: 1000 }, (_, at) => message(at % 3, (at * 37) % 500));
    const limits = { partitionBytes: 5000, partitionMessages: 20, requestBytes: 9000 };
    const seen = new Map<number, number[]>();
    for (const request of requestsOf(byPartition(batch), limits)) {
      expect(new Set(request.map(({ partition }) => partition)).size).toBe(request.length);
      let requestBytes = 0;
      for (const part of request) {
        const bytes = part.messages.reduce((sum, each) => sum + sizeOf(each), 0);
        expect(bytes).toBeLessThanOrEqual(limits.partitionBytes);
        expect(part.messages.length).toBeLessThanOrEqual(limits.partitionMessages);
        requestBytes += bytes;
        seen.set(part.partition, [...(seen.get(part.partition) ?? []), ...part.indexes]);
      }
      expect(requestBytes).toBeLessThanOrEqual(limits.requestBytes);
    }
    for (const [partition, indexes] of seen) {
      expect(indexes).toEqual(batch.map((_, at) => at).filter((at) => at % 3 === partition));
    }
  });

  it('give a message above the limit a part of its own', () => {
    const limits = { partitionBytes: 1000, partitionMessages: 100, requestBytes: 2000 };
    const batch = [message(0, 10), message(0, 5000), message(0, 10), message(1, 10)];
    const shape = [...requestsOf(byPartition(batch), limits)].map((request) => request.map(({ indexes }) => indexes));
    expect(shape).toEqual([[[0], [3]], [[1]], [[2]]]);
  });

  it('are none for an empty batch', () => {
    expect([...requestsOf([])]).toEqual([]);
  });
});

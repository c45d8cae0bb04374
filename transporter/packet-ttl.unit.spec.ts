import { describe, expect, it } from '@jest/globals';
import { ttlOf } from './packet-ttl.ts';

describe('a packet is useful', () => {
  const settings = { requestTtlMs: 1, eventTtlMs: 2, controlTtlMs: 3, retentionMs: 4 };
  const ttl = (type: string, payload = {}) => ttlOf({ type, payload }, settings);

  it('as a request for as long as its caller waits', () => {
    expect(ttl('REQ', { timeout: 700 })).toBe(700);
    expect(ttl('REQ', { timeout: 0 })).toBe(1);
    expect(ttl('REQ')).toBe(1);
  });

  it('for a time of its kind, and as a farewell until Kafka drops it', () => {
    expect(['RES', 'EVENT', 'HEARTBEAT', 'INFO', 'DISCONNECT'].map((type) => ttl(type))).toEqual([1, 2, 3, 3, 4]);
  });
});

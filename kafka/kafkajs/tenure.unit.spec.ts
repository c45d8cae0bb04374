import { describe, expect, it } from '@jest/globals';
import { Tenure } from './tenure.ts';

const limits = { sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 30_000 };
const begin = () => new Tenure([{ topic: 't', partition: 1 }], limits, 0);

describe('tenure', () => {
  it('holds until the coordinator was silent for the session timeout, less a margin', () => {
    const tenure = begin();
    expect(tenure.holds(8999)).toBe(true);
    expect(tenure.holds(9000)).toBe(false);
    tenure.confirm(5000);
    expect(tenure.holds(13_999)).toBe(true);
    expect(tenure.holds(14_000)).toBe(false);
  });

  it('holds while a rebalance is announced, but no longer than the group waits for its members', () => {
    const tenure = begin();
    tenure.confirm(3000);
    for (let nowMs = 6000; nowMs < 60_000; nowMs += 3000) tenure.announceRebalance(nowMs);
    expect(tenure.holds(31_999)).toBe(true);
    expect(tenure.holds(32_000)).toBe(false);
  });

  it('is over when it is ended', () => {
    const tenure = begin();
    tenure.ready = true;
    tenure.end();
    expect({ holds: tenure.holds(1), ready: tenure.ready, over: tenure.over }).toEqual({
      holds: false,
      ready: false,
      over: true,
    });
  });

  it('knows its partitions', () => {
    expect(begin().has('1/t')).toBe(true);
    expect(begin().has('0/t')).toBe(false);
  });
});

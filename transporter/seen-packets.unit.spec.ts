import { describe, expect, it } from '@jest/globals';
import { PacketNumbers, SeenPackets } from './seen-packets.ts';

function setUp() {
  const seen = new SeenPackets();
  const take = (count: number, { topic = 'inbox', sender = 'a', run = 'r', nowMs = 0 } = {}) =>
    seen.isNew(topic, sender, `${run}.${count}`, nowMs);
  return { seen, take };
}

describe('packets that were seen', () => {
  it('are told from new ones, in whatever order they come', () => {
    const { take } = setUp();
    const order = [100, 101, 99, 103, 102, 5_000, 4_999, 104];
    expect(order.map((count) => take(count))).toEqual(order.map(() => true));
    expect(order.map((count) => take(count))).toEqual(order.map(() => false));
    expect(take(105)).toBe(true);
  });

  it('agree with a plain set for any mix of repetitions, detours and gaps', () => {
    const { take } = setUp();
    const plain = new Set<number>();
    let highest = 0;
    let state = 7;
    const random = (below: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const wrong: number[] = [];
    for (let i = 0; i < 50_000; i++) {
      const jump = random(50) === 0 ? random(20_000) : random(4);
      const count = Math.max(0, random(3) === 0 ? highest - random(9_000) : highest + jump);
      const expected = highest - count < 8_192 && !plain.has(count);
      if (take(count) !== expected) wrong.push(count);
      plain.add(count);
      highest = Math.max(highest, count);
    }
    expect(wrong).toEqual([]);
  });

  it('are dropped when they are too far behind to be told', () => {
    const { take } = setUp();
    take(10_000);
    expect(take(10_000 - 8_191)).toBe(true);
    expect(take(10_000 - 8_192)).toBe(false);
  });

  it('are counted for each topic, sender and run of a sender', () => {
    const { take } = setUp();
    take(1);
    expect(take(1, { topic: 'all' })).toBe(true);
    expect(take(1, { sender: 'b' })).toBe(true);
    expect(take(1, { run: 'later' })).toBe(true);
    expect(take(1)).toBe(false);
  });

  it('of senders that are gone are forgotten', () => {
    const { seen, take } = setUp();
    for (let sender = 0; sender < 50; sender++) take(1, { sender: `${sender}` });
    take(1, { nowMs: 200_000 });
    take(2, { sender: 'new', nowMs: 400_000 });
    expect(seen.size).toBe(2);
    expect(take(1, { nowMs: 400_000 })).toBe(false);
  });

  it('without a number that makes sense are all new', () => {
    const seen = new SeenPackets();
    for (const number of ['', 'x', '5', '.5', 'r.x', 'r.-1', 'r.1e400']) {
      const isNew = [seen.isNew('t', 's', number, 0), seen.isNew('t', 's', number, 0)];
      expect([number, isNew]).toEqual([number, [true, true]]);
    }
  });
});

describe('packet numbers', () => {
  it('count up for each topic', () => {
    const numbers = new PacketNumbers('run');
    expect([numbers.next('a'), numbers.next('a'), numbers.next('b')]).toEqual(['run.0', 'run.1', 'run.0']);
  });
});

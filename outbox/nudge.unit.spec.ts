import { describe, expect, it } from '@jest/globals';
import { Nudger } from './nudge.ts';

/** A nudger whose timers and answers are moved by hand. */
function setUp(send?: () => unknown) {
  let answer = Promise.withResolvers<void>();
  const sent: number[][] = [];
  const timers: { task: () => void; delayMs: number; off: boolean }[] = [];
  const nudger = new Nudger({
    send: (buckets) => {
      sent.push(buckets);
      return send ? send() : answer.promise;
    },
    schedule(task, delayMs) {
      const timer = { task, delayMs, off: false };
      timers.push(timer);
      return () => {
        timer.off = true;
      };
    },
  });
  return {
    nudger,
    sent,
    async answered() {
      answer.resolve();
      answer = Promise.withResolvers();
      await new Promise((resolve) => setImmediate(resolve));
    },
    /** The timers that are on, by their delays. */
    pending: () => timers.filter((timer) => !timer.off).map((timer) => timer.delayMs),
    fire() {
      for (const timer of timers.splice(0)) if (!timer.off) timer.task();
    },
  };
}

describe('Nudger', () => {
  it('sends the first at once and what comes meanwhile together, each bucket once', async () => {
    const { nudger, sent, answered, fire } = setUp();
    nudger.nudge([3]);
    nudger.nudge([5, 1]);
    nudger.nudge([5]);
    expect(sent).toEqual([[3]]);
    await answered();
    expect(sent).toEqual([[3]]);
    fire();
    expect(sent).toEqual([[3], [1, 5]]);
    await answered();
    fire();
    expect(sent).toHaveLength(2);
    nudger.nudge([2]);
    expect(sent).toEqual([[3], [1, 5], [2]]);
  });

  it('sends at most one a second where nobody answers', () => {
    const { nudger, sent, pending, fire } = setUp(() => new Promise(() => undefined));
    for (let i = 0; i < 100; i++) nudger.nudge([i % 8]);
    expect(sent).toEqual([[0]]);
    expect(pending()).toEqual([1000]);
    fire();
    expect(sent).toEqual([[0], [0, 1, 2, 3, 4, 5, 6, 7]]);
  });

  it('does not mind a refusal, and tries again a second later: each one is an error in the log', async () => {
    const refuse = [
      () => Promise.reject(new Error('no transporter')),
      () => {
        throw new Error('no broker');
      },
    ];
    for (const send of refuse) {
      const { nudger, sent, answered, pending, fire } = setUp(send);
      expect(() => nudger.nudge([1])).not.toThrow();
      await answered();
      nudger.nudge([2]);
      expect({ sent, pending: pending() }).toEqual({ sent: [[1]], pending: [1000] });
      fire();
      expect(sent).toEqual([[1], [2]]);
    }
  });

  it('is silent after its end', () => {
    const { nudger, sent, pending } = setUp();
    nudger.nudge([1]);
    nudger.stop();
    nudger.nudge([2]);
    expect({ sent, pending: pending() }).toEqual({ sent: [[1]], pending: [] });
  });
});

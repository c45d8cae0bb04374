import { describe, expect, it } from '@jest/globals';
import { Together } from './together.ts';

describe('calls that go together', () => {
  it('takes those of one moment in one, and those that come meanwhile in the next', async () => {
    const runs: number[][] = [];
    const gates: (() => void)[] = [];
    const together = new Together<number, string>(async (asks) => {
      runs.push([...asks]);
      await new Promise<void>((resolve) => gates.push(resolve));
      return asks.map((ask) => `answer ${ask}`);
    }, 3);
    const answers = [1, 2].map((ask) => together.ask(ask));
    await new Promise(setImmediate);
    answers.push(...[3, 4, 5, 6].map((ask) => together.ask(ask)));
    await new Promise(setImmediate);
    expect(runs).toEqual([[1, 2]]);
    for (let run = 0; run < 3; run++) {
      gates[run]!();
      await new Promise(setImmediate);
    }
    expect(runs).toEqual([[1, 2], [3, 4, 5], [6]]);
    expect(await Promise.all(answers)).toEqual([1, 2, 3, 4, 5, 6].map((ask) => `answer ${ask}`));
  });

  it('tells all of a failed call, and goes on', async () => {
    let fails = true;
    const together = new Together<number, number>(async (asks) => {
      if (fails) throw new Error('away');
      return asks;
    }, 8);
    const outcomes = await Promise.allSettled([together.ask(1), together.ask(2)]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    fails = false;
    expect(await together.ask(3)).toBe(3);
  });
});

import { describe, expect, it } from '@jest/globals';
import { checkStorm, type Effect } from './check.ts';

const published = { versions: new Map([['1', 3]]), poison: 1 };
const effectsOf = (...versions: number[]): Effect[] => versions.map((version) => ({ aggregateId: '1', version }));
const sample = { partition: 0, committed: 4, settled: 4 };

describe('the check of a storm', () => {
  it('finds nothing where each version has one effect, in order', () => {
    expect(checkStorm(published, effectsOf(1, 2, 3), 1, [sample])).toEqual([]);
  });

  it.each([
    ['a lost effect at the end', effectsOf(1, 2), 1, [], '2 of 3 versions have an effect'],
    ['a lost effect in the middle', effectsOf(1, 3), 1, [], 'version 3 came in place of 2'],
    ['an effect made twice', effectsOf(1, 2, 2, 3), 1, [], 'version 2 came in place of 3'],
    ['effects out of order', effectsOf(2, 1, 3), 1, [], 'version 2 came in place of 1'],
    ['an aggregate without any', [], 1, [], '0 of 3 versions have an effect'],
    ['a lost dead letter', effectsOf(1, 2, 3), 0, [], '0 dead letters in place of 1'],
    [
      'an offset that was committed early',
      effectsOf(1, 2, 3),
      1,
      [{ ...sample, settled: 3 }],
      'offset 4 was committed',
    ],
  ])('finds %s', (_name, effects, deadLetters, samples, message) => {
    expect(checkStorm(published, effects, deadLetters, samples).join('; ')).toContain(message);
  });
});

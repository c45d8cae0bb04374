import { describe, expect, it } from '@jest/globals';
import { readOptions } from './options.ts';

describe('options of a fault run', () => {
  it('are a full run with a seed from the time by default', () => {
    expect(readOptions([], 1_234_567)).toEqual({ mode: 'full', seed: 34_567, soakMs: 0, deadlineFactor: 1 });
    expect(readOptions(['--short', '--seed', '7'], 0)).toMatchObject({ mode: 'short', seed: 7, soakMs: 0 });
    expect(readOptions(['--short', '--deadline-factor', '3'], 0)).toMatchObject({ deadlineFactor: 3 });
    expect(readOptions(['--soak', '8h'], 0)).toMatchObject({ mode: 'soak', soakMs: 28_800_000 });
    expect(readOptions(['--soak', '30m'], 0)).toMatchObject({ soakMs: 1_800_000 });
  });

  it.each([
    [['--seed', 'x']],
    [['--soak', 'long']],
    [['--short', '--soak', '1h']],
    [['--fast']],
    [['--deadline-factor', '0']],
  ])('are refused with a line on usage: %j', (args) => {
    expect(() => readOptions(args, 0)).toThrow('usage: npm run faults');
  });
});

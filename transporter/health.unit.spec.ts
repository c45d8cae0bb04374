import { describe, expect, it } from '@jest/globals';
import { isDeaf } from './health.ts';

describe('deafness', () => {
  it('is silence for so many heartbeats, with the spread that Moleculer gives them', () => {
    expect(isDeaf(16_499, 5_000, 3)).toBe(false);
    expect(isDeaf(16_501, 5_000, 3)).toBe(true);
  });

  it('is not known where nobody sends heartbeats', () => {
    expect(isDeaf(1e9, 0, 3)).toBe(false);
    expect(isDeaf(null, 5_000, 3)).toBe(false);
  });
});

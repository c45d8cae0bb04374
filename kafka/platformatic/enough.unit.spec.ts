import { describe, expect, it } from '@jest/globals';
import { readsEnough } from './enough.ts';

const read = { healthy: true, paused: false, tried: false };
const notYet = { healthy: false, paused: false, tried: false };
const inVain = { healthy: false, paused: false, tried: true };
const at = (topic: string, state: typeof read) => ({ topic, ...state });

describe('a reader reads enough', () => {
  it('when it reads every partition', () => {
    expect(readsEnough([at('a', read), at('a', read)])).toBe(true);
    expect(readsEnough([at('a', read), at('a', inVain)])).toBe(false);
    expect(readsEnough([at('a', read), at('a', { ...inVain, paused: true })])).toBe(true);
  });

  it('where one of each topic will do, when the others were tried in vain, and not before', () => {
    const one = 'one of each topic';
    expect(readsEnough([at('a', read), at('a', notYet)], one)).toBe(false);
    expect(readsEnough([at('a', read), at('a', inVain)], one)).toBe(true);
    expect(readsEnough([at('a', read), at('b', inVain)], one)).toBe(false);
    expect(readsEnough([at('a', read), at('b', read), at('b', inVain)], one)).toBe(true);
  });
});

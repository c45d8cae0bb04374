import { describe, expect, it } from '@jest/globals';
import { RecentAnswers } from './recent-answers.ts';

describe('recent answers', () => {
  it('are given again for some milliseconds only, each for its own address', () => {
    let nowMs = 0;
    const recent = new RecentAnswers({ forMs: 20, kept: 10, monotonicMs: () => nowMs });
    recent.put('/a?limit=1', 'one');
    nowMs = 19;
    expect(recent.get('/a?limit=1')).toBe('one');
    expect(recent.get('/a?limit=2')).toBeUndefined();
    nowMs = 20;
    expect(recent.get('/a?limit=1')).toBeUndefined();
  });

  it('are kept of so many addresses, the latest', () => {
    const recent = new RecentAnswers({ forMs: 20, kept: 2, monotonicMs: () => 0 });
    for (const url of ['/1', '/2', '/1', '/3']) recent.put(url, url);
    expect(['/1', '/2', '/3'].map((url) => recent.get(url))).toEqual(['/1', undefined, '/3']);
  });
});

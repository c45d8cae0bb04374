import { describe, expect, it } from '@jest/globals';
import { SingleAttempt } from './single-attempt.ts';

describe('one attempt a request', () => {
  it('refuses a second attempt for several partitions, until the next request begins', () => {
    const attempt = new SingleAttempt();
    attempt.begin(2, 2);
    attempt.count();
    attempt.count();
    expect(attempt.exceeded).toBe(false);
    expect(() => attempt.count()).toThrow(TypeError);
    expect(attempt.exceeded).toBe(true);
    attempt.begin(1, 2);
    attempt.count();
    expect(attempt.exceeded).toBe(false);
  });

  it('does not count an attempt that ended before anything was sent', () => {
    const attempt = new SingleAttempt();
    attempt.begin(2, 2);
    attempt.count();
    attempt.forget();
    attempt.count();
    attempt.count();
    expect(() => attempt.count()).toThrow(TypeError);
  });

  it('lets a request for one partition be tried again', () => {
    const attempt = new SingleAttempt();
    attempt.begin(1, 1);
    attempt.count();
    attempt.count();
    expect(attempt.exceeded).toBe(false);
  });
});

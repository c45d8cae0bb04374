import { describe, expect, it } from '@jest/globals';
import { Sleep } from './sleep.ts';

describe('a sleep', () => {
  it('ends with a change, a backoff only with its time or the end', async () => {
    const sleep = new Sleep();
    const ended: string[] = [];
    const note = (name: string, wait: Promise<void>) => wait.then(() => void ended.push(name));
    const waits = [note('waiting', sleep.wait()), note('backoff', sleep.wait(60_000))];
    const short = note('short backoff', sleep.wait(1));
    sleep.wake();
    await Promise.all([waits[0], short]);
    expect(ended.sort()).toEqual(['short backoff', 'waiting']);
    sleep.end();
    await waits[1];
    await sleep.wait();
    await sleep.wait(60_000);
  });
});

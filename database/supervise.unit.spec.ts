import { describe, expect, it } from '@jest/globals';
import { DatabaseError } from './errors.ts';
import { DatabaseSupervisor } from './supervise.ts';

const away = () => new DatabaseError('DATABASE_UNAVAILABLE', 'no answer', { retryable: true });
const behind = () => new DatabaseError('DATABASE_BEHIND', 'run the migrations', { retryable: false });

/** A supervisor whose database answers as told, one answer for each attempt, and whose timers are fired by hand. */
function setUp(answers: (Error | null)[]) {
  const states: string[] = [];
  const timers: { task: () => void; delayMs: number }[] = [];
  const delays: number[] = [];
  let attempts = 0;
  const supervisor = new DatabaseSupervisor({
    verify: async () => {
      attempts++;
      const answer = answers.shift() ?? null;
      if (answer) throw answer;
    },
    onChange: (state) => states.push(state.state),
    schedule(task, delayMs) {
      const timer = { task, delayMs };
      timers.push(timer);
      delays.push(delayMs);
      return () => timers.splice(timers.indexOf(timer), 1);
    },
  });
  return {
    supervisor,
    states,
    delays,
    timers,
    attempts: () => attempts,
    async fire() {
      timers.shift()!.task();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

describe('DatabaseSupervisor', () => {
  it('starts without the server and goes on trying, ever more slowly, until it is there', async () => {
    const { supervisor, states, delays, timers, fire } = setUp(Array.from({ length: 7 }, away));
    await supervisor.start();
    expect(supervisor.state.state).toBe('waiting');
    for (let i = 0; i < 7; i++) await fire();
    expect(supervisor.state.state).toBe('ready');
    expect(delays).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000]);
    expect(states.at(-1)).toBe('ready');
    expect(timers).toEqual([]);
  });

  it('fails the start where waiting does not help', async () => {
    const { supervisor, timers } = setUp([behind()]);
    await expect(supervisor.start()).rejects.toThrow('run the migrations');
    expect(timers).toEqual([]);
    await expect(supervisor.whenReady()).rejects.toThrow('run the migrations');
  });

  it('tries at once for one who needs it, once for all who ask', async () => {
    const { supervisor, attempts, timers } = setUp([away(), away()]);
    await supervisor.start();
    const all = await Promise.allSettled([supervisor.whenReady(), supervisor.whenReady(), supervisor.whenReady()]);
    expect(all.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(attempts()).toBe(2);
    expect(timers).toHaveLength(1);
    await supervisor.whenReady();
    expect(attempts()).toBe(3);
    expect(timers).toHaveLength(0);
  });

  it('stops trying when it is stopped', async () => {
    const { supervisor, timers } = setUp([away()]);
    await supervisor.start();
    supervisor.stop();
    expect(timers).toHaveLength(0);
  });
});

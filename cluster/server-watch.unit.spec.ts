import { describe, expect, it } from '@jest/globals';
import type { ServerName } from '../stack/stack.ts';
import { watchServers } from './server-watch.ts';

/** A stack whose servers start as the test says. */
function watched({ failures = 0 } = {}) {
  const said: string[] = [];
  const pauses: number[] = [];
  const starts: ServerName[] = [];
  let listener: (name: ServerName, how: string) => void = () => {};
  let quiet = Promise.withResolvers<void>();
  const stop = watchServers({
    stack: {
      onServerEnd(callback) {
        listener = callback;
        return () => {
          listener = () => {};
        };
      },
      server: (name) =>
        ({
          async start() {
            starts.push(name);
            if (failures-- > 0) throw new Error('the port is taken');
          },
        }) as never,
    },
    say(text) {
      said.push(text);
      if (text.endsWith('runs again.')) quiet.resolve();
    },
    pause: async (ms) => pauses.push(ms),
    nowMs: () => 0,
  });
  const end = async (name: ServerName, how: string) => {
    quiet = Promise.withResolvers();
    listener(name, how);
    await quiet.promise;
  };
  return { said, pauses, starts, stop, end, tell: (name: ServerName, how: string) => listener(name, how) };
}

describe('the watch over the servers of npm start', () => {
  it('starts one again that has ended, and says so', async () => {
    const { said, starts, end } = watched();
    await end('kafka', 'SIGKILL');
    expect(starts).toEqual(['kafka']);
    expect(said).toEqual(['kafka has ended (SIGKILL): it is started again in 500 ms.', 'kafka runs again.']);
  });

  it('goes on, more and more slowly, where it does not start', async () => {
    const { said, starts, pauses, end } = watched({ failures: 3 });
    await end('mysql', 'code 1');
    expect(starts).toHaveLength(4);
    expect(pauses).toEqual([500, 1000, 2000, 4000]);
    expect(said[1]).toBe('mysql has not started (the port is taken): it is started again in 1000 ms.');
  });

  it('starts nothing after its end, as the servers are then ended on purpose', async () => {
    const { starts, stop, tell } = watched();
    stop();
    tell('redis', 'SIGTERM');
    await new Promise((resolve) => setImmediate(resolve));
    expect(starts).toEqual([]);
  });
});

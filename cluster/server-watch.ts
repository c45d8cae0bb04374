import { setTimeout as delay } from 'node:timers/promises';
import type { RunningStack, ServerName } from '../stack/stack.ts';
import { restartBackoff } from './backoff.ts';

export interface ServerWatchOptions {
  stack: Pick<RunningStack, 'server' | 'onServerEnd'>;
  say(text: string): void;
  /** Resolves after `ms`; rejects when the signal is aborted. */
  pause?(ms: number, signal: AbortSignal): Promise<unknown>;
  /** Monotonic. */
  nowMs?(): number;
}

/**
 * Starts a server of the stack again when it ends, on the port and the data that it had, as the supervisor does with nodes: after 0.5 s,
 * and more slowly where that does not help. Answers the end of it, which must come before the stack is stopped.
 */
export function watchServers({ stack, say, ...rest }: ServerWatchOptions): () => void {
  const pause = rest.pause ?? ((ms: number, signal: AbortSignal) => delay(ms, undefined, { signal }));
  const nowMs = rest.nowMs ?? (() => performance.now());
  const ended = new AbortController();
  const backoffs = new Map<ServerName, ReturnType<typeof restartBackoff>>();
  const startedMs = new Map<ServerName, number>();
  const reviving = new Set<ServerName>();

  const revive = async (name: ServerName, how: string): Promise<void> => {
    const backoff = backoffs.get(name) ?? restartBackoff();
    backoffs.set(name, backoff);
    for (let why = `ended (${how})`; !ended.signal.aborted; ) {
      const pauseMs = backoff.next(nowMs() - (startedMs.get(name) ?? 0));
      say(`${name} has ${why}: it is started again in ${pauseMs} ms.`);
      try {
        await pause(pauseMs, ended.signal);
        startedMs.set(name, nowMs());
        await stack.server(name).start();
        if (!ended.signal.aborted) say(`${name} runs again.`);
        return;
      } catch (error) {
        why = `not started (${(error as Error).message})`;
      }
    }
  };

  const unsubscribe = stack.onServerEnd((name, how) => {
    // One that ends while it is being started is part of that: `start()` rejects.
    if (reviving.has(name) || ended.signal.aborted) return;
    reviving.add(name);
    void revive(name, how).finally(() => reviving.delete(name));
  });
  return () => {
    ended.abort();
    unsubscribe();
  };
}

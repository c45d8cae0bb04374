import { Redis } from 'ioredis';

/**
 * A client that reconnects for ever and never lets a command wait for that: while Redis is away commands fail at once, and one
 * that gets no answer fails after `commandMs`. `onState` hears of changes only.
 */
export function openRedis(
  url: string,
  { commandMs, onState }: { commandMs: number; onState(state: 'ready' | 'away', error: Error | null): void },
): Redis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: commandMs,
    connectTimeout: 2000,
    // its timer keeps the process alive for so long where the connection is gone already
    disconnectTimeout: 200,
    keepAlive: 10_000,
    retryStrategy: (attempt) => Math.min(100 * attempt, 1000),
  });
  let state: 'ready' | 'away' | null = null;
  let lastError: Error | null = null;
  const become = (next: 'ready' | 'away') => {
    if (state === next) return;
    state = next;
    onState(next, next === 'away' ? lastError : null);
  };
  redis.on('error', (error: Error) => {
    lastError = error;
  });
  redis.on('ready', () => become('ready'));
  redis.on('close', () => {
    if (redis.status !== 'end') become('away');
  });
  return redis;
}

/** Resolves when the client is ready, at the latest after `ms`. */
export async function readyWithin(redis: Redis, ms: number): Promise<void> {
  if (redis.status === 'ready') return;
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    new Promise<void>((resolve) => redis.once('ready', () => resolve())),
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    }),
  ]);
  clearTimeout(timer);
}

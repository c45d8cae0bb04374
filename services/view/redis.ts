import { Redis } from 'ioredis';

/**
 * Nobody waits longer for Redis: a view that can't be counted now is answered 503. Long enough for a process that a busy machine
 * holds up, which has the answer and has not read it.
 */
const commandTimeoutMs = 2000;
const longestRetryMs = 2000;
const firstConnectMs = 1000;

/**
 * A client that fails at once while Redis is away and goes on trying to connect in the background. Nothing is queued or sent
 * again: what was sent without an answer may have happened.
 */
export function connectRedis(url: string, log: { info(text: string): void; warn(text: string): void }): Redis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: commandTimeoutMs,
    connectTimeout: 2000,
    disconnectTimeout: 200,
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 10), longestRetryMs),
  });
  let away = false;
  redis.on('ready', () => {
    if (away) log.info('Redis is there again.');
    away = false;
  });
  redis.on('error', (error: Error & { code?: string }) => {
    if (!away) log.warn(`Redis is away (${error.code ?? error.message}): views are refused until it is back.`);
    away = true;
  });
  return redis;
}

/** Waits a moment for the first connection; without one the service starts all the same. */
export async function firstConnection(redis: Redis): Promise<void> {
  if (redis.status === 'ready') return;
  let timer: NodeJS.Timeout | undefined;
  let onReady: (() => void) | undefined;
  await new Promise<void>((resolve) => {
    onReady = resolve;
    redis.once('ready', resolve);
    timer = setTimeout(resolve, firstConnectMs);
  });
  clearTimeout(timer);
  redis.off('ready', onReady!);
}

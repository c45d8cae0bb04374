import { databaseUrl } from '../config/database-url.ts';
import type { Config } from '../config/load.ts';
import type { ConnectionOptions } from './connect.ts';

/**
 * How a service of the board reaches its database. Who waits for a free connection for half of the time that its caller waits gets an
 * error, with nothing done: later it could not be answered in time. Else a queue that was once too long stays so: all that
 * is carried out is what nobody waits for any more.
 */
export function connectionOf(config: Config, database: string): ConnectionOptions {
  return {
    url: databaseUrl(config, database),
    poolSize: config.databasePoolSize,
    acquireMs: Math.floor(config.requestTimeoutMs / 2),
  };
}

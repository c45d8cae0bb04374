import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { plainPath } from '../folders.ts';
import type { Provider } from '../types.ts';
import { redisVersion } from '../versions.ts';
import { type Places, type PreparedServer, serverEnvironment } from './server.ts';

export interface RedisBinaries {
  provider: Provider;
  redisServer: string;
  expectedVersion: string | null;
}

/** Redis on loopback, with its append-only file synced each second. */
export function prepareRedis(
  binaries: RedisBinaries,
  options: { places: Places; port: number; env: NodeJS.ProcessEnv },
): PreparedServer {
  const { places, port } = options;
  const folder = join(places.data, 'redis');
  return {
    name: 'redis',
    provider: binaries.provider,
    port,
    expectedVersion: binaries.expectedVersion,
    command: {
      name: 'redis',
      command: binaries.redisServer,
      // biome-ignore format: one setting a line
      args: [
        '--port', String(port),
        '--bind', '127.0.0.1',
        '--dir', plainPath(folder, places.run, 'redis-data'),
        '--save', '',
        '--appendonly', 'yes',
        '--appendfsync', 'everysec',
        '--daemonize', 'no',
      ],
      env: serverEnvironment(options.env),
      cwd: places.run,
      logFile: join(places.logs, 'redis.log'),
      stopGraceMs: 10_000,
    },
    async prepare() {
      await mkdir(folder, { recursive: true, mode: 0o700 });
    },
    probe: () => redisVersion(`redis://127.0.0.1:${port}`),
  };
}

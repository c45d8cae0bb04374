import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findJava, findProgram, output } from '../programs.ts';
import type { KafkaBinaries } from '../servers/kafka.ts';
import type { MariadbBinaries } from '../servers/mariadb.ts';
import type { RedisBinaries } from '../servers/redis.ts';
import type { Product } from '../types.ts';

/** Folders of servers that are often not on the PATH of an ordinary user. */
const serverFolders = ['/usr/sbin', '/usr/local/sbin', '/usr/libexec', '/opt/homebrew/bin', '/usr/local/bin'];
/** SKIP LOCKED came with MariaDB 10.6. */
const oldestMariadb = [10, 6] as const;
const oldestRedis = [6, 2] as const;
const versionTimeoutMs = 10_000;

export type Found<Binaries> = { binaries: Binaries } | { lacks: string };

export async function findMariadb(env: NodeJS.ProcessEnv): Promise<Found<MariadbBinaries>> {
  const mariadbd = findProgram('mariadbd', env, serverFolders);
  if (mariadbd === null) return { lacks: 'mariadbd is not on the PATH (e.g. the package mariadb-server)' };
  const help = await ask(mariadbd, ['--no-defaults', '--verbose', '--help'], env);
  if (help === null) return { lacks: `${mariadbd} does not run` };
  const version = parseVersion(help);
  if (version === null || isOlder(version, oldestMariadb)) {
    return {
      lacks: `${mariadbd} is MariaDB ${version?.join('.') ?? 'of an unknown version'}; 10.6 or newer is needed`,
    };
  }
  const setting = (name: string) => new RegExp(`^${name}\\s+(/\\S*)`, 'm').exec(help)?.[1];
  // An unpacked server may name the place that it was built for.
  const prefix = dirname(dirname(realpathSync(mariadbd)));
  const folders = [setting('basedir') ?? prefix, prefix];
  const shares = [
    setting('lc-messages-dir'),
    ...folders.flatMap((base) => [join(base, 'share/mysql'), join(base, 'share/mariadb'), join(base, 'share')]),
  ];
  const share = shares.find((folder) => folder !== undefined && holdsSystemTables(folder));
  if (share === undefined)
    return { lacks: `the SQL files of ${mariadbd} are in none of ${shares.filter(Boolean).join(', ')}` };
  const series = version.join('.');
  return {
    binaries: {
      provider: 'installed',
      mariadbd,
      basedir: dirname(dirname(share)),
      share,
      series,
      expectedVersion: series,
    },
  };
}

function holdsSystemTables(folder: string): boolean {
  return ['mariadb_system_tables.sql', 'mysql_system_tables.sql'].some((name) => existsSync(join(folder, name)));
}

export async function findRedis(env: NodeJS.ProcessEnv): Promise<Found<RedisBinaries>> {
  const redisServer = findProgram('redis-server', env, serverFolders);
  if (redisServer === null) return { lacks: 'redis-server is not on the PATH (e.g. the package redis-server)' };
  const said = await ask(redisServer, ['--version'], env);
  if (said === null) return { lacks: `${redisServer} does not run` };
  const version = parseVersion(said.replace(/^.*\bv=/, 'Ver '));
  if (version === null || isOlder(version, oldestRedis)) {
    return {
      lacks: `${redisServer} is Redis ${version?.join('.') ?? 'of an unknown version'}; 6.2 or newer is needed`,
    };
  }
  return { binaries: { provider: 'installed', redisServer, expectedVersion: `${version.join('.')}.` } };
}

/** A Kafka 4 that is unpacked under KAFKA_HOME. Kafka is on no PATH. */
export async function findKafka(env: NodeJS.ProcessEnv): Promise<Found<KafkaBinaries>> {
  if (!env.KAFKA_HOME) return { lacks: 'KAFKA_HOME is not set' };
  const libs = join(env.KAFKA_HOME, 'libs');
  const jar = existsSync(libs)
    ? readdirSync(libs).find((name) => /^kafka_2\.13-4\.[0-9.]+\.jar$/.test(name))
    : undefined;
  if (jar === undefined) return { lacks: `there is no Kafka 4 in ${libs} (KAFKA_HOME)` };
  const java = await findJava(env);
  if ('lacks' in java) return java;
  const version = /-(4[0-9.]*)\.jar$/.exec(jar)![1]!;
  const shared = { java: java.java, javaVersion: java.version, libs, classArchive: null };
  return { binaries: { provider: 'installed', ...shared, expectedVersion: version } };
}

export async function findInstalled(product: Product, env: NodeJS.ProcessEnv) {
  switch (product) {
    case 'mysql':
      return findMariadb(env);
    case 'redis':
      return findRedis(env);
    case 'kafka':
      return findKafka(env);
  }
}

async function ask(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string | null> {
  return output(command, args, { timeoutMs: versionTimeoutMs, env }).catch(() => null);
}

/** Major and minor after the word Ver. */
export function parseVersion(text: string): [number, number] | null {
  const found = /\bVer ([0-9]+)\.([0-9]+)/.exec(text);
  return found === null ? null : [Number(found[1]), Number(found[2])];
}

function isOlder(version: readonly [number, number], oldest: readonly [number, number]): boolean {
  return version[0] < oldest[0] || (version[0] === oldest[0] && version[1] < oldest[1]);
}

import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Product } from '../types.ts';
import { type Picked, unpackJar } from './unpack.ts';

/** A server as a pinned Maven artifact. The coordinates are in the pom file of the folder `module`. */
export interface Artifact {
  product: Product;
  /** Module of stack/embedded/pom.xml, and folder of its jars in the staging folder. */
  module: 'mariadb' | 'redis' | 'kafka';
  /** Folder in the cache: it names version and platform. */
  folder: string;
  /** Rough size of the download, for the message. */
  megabytes: number;
  mavenProperties: string[];
  /** A file that must be there, relative to the folder. */
  main: string;
  /** What the running server's own version begins with. */
  version: string;
  /** Puts what is needed of the staged jars into `target`. */
  unpack(staged: string, jars: readonly string[], target: string): Promise<void>;
}

/** Major and minor of the embedded MariaDB. */
export const mariadbSeries = '11.4';

const mariadbPlatforms: Record<string, string> = { 'linux-x64': 'linux64', 'darwin-arm64': 'macos-arm64' };
const redisBinaries: Record<string, RegExp> = {
  'linux-x64': /^redis-server-.*-linux-amd64$/,
  'linux-arm64': /^redis-server-.*-linux-arm64$/,
  'darwin-x64': /^redis-server-.*-darwin-amd64$/,
  'darwin-arm64': /^redis-server-.*-darwin-arm64$/,
};

/** The artifact of a product for a platform such as `linux-x64`; null where there is none. */
export function artifactFor(product: Product, platform: string): Artifact | null {
  switch (product) {
    case 'mysql': {
      const name = mariadbPlatforms[platform];
      return name === undefined ? null : mariadb(name);
    }
    case 'redis': {
      const binary = redisBinaries[platform];
      return binary === undefined ? null : redis(platform, binary);
    }
    case 'kafka':
      return kafka;
  }
}

const kafka: Artifact = {
  product: 'kafka',
  module: 'kafka',
  folder: 'kafka-4.3.1',
  megabytes: 55,
  mavenProperties: [],
  main: 'kafka_2.13-4.3.1.jar',
  version: '4.3.1',
  async unpack(staged, jars, target) {
    for (const jar of jars) await rename(join(staged, jar), join(target, jar));
  },
};

function mariadb(platform: string): Artifact {
  return {
    product: 'mysql',
    module: 'mariadb',
    folder: `mariadb-11.4.5-${platform}`,
    megabytes: 149,
    mavenProperties: [`-Dmariadb.platform=${platform}`],
    main: 'bin/mariadbd',
    version: '11.4.5',
    unpack: async (staged, jars, target) => unpackJar(join(staged, onlyJar(jars)), target, mariadbFile),
  };
}

/** Where a file of MariaDB's jar goes; null: it is not needed. */
export function mariadbFile(entry: string): Picked | null {
  const inside = /\/mariadb-[^/]+\/[^/]+\/(.+)$/.exec(entry)?.[1];
  if (inside === 'bin/mariadbd') return { path: inside, executable: true };
  // Libraries travel with the server on macOS.
  if (inside !== undefined && /^libs?\/[^/]+\.dylib$/.test(inside)) return { path: inside, executable: true };
  // Built for macOS it has them one folder deeper.
  const share = /^share\/(?:mysql\/)?(mariadb_[a-z_]+\.sql|maria_add_gis_sp_bootstrap\.sql|english\/.+|charsets\/.+)$/;
  const shared = share.exec(inside ?? '')?.[1];
  return shared === undefined ? null : { path: `share/${shared}`, executable: false };
}

function redis(platform: string, binary: RegExp): Artifact {
  return {
    product: 'redis',
    module: 'redis',
    folder: `redis-6.2-${platform}`,
    megabytes: 12,
    mavenProperties: [],
    main: 'redis-server',
    version: '6.2.',
    unpack: async (staged, jars, target) =>
      unpackJar(join(staged, onlyJar(jars)), target, (entry) =>
        binary.test(entry) ? { path: 'redis-server', executable: true } : null,
      ),
  };
}

function onlyJar(jars: readonly string[]): string {
  const [jar] = jars;
  if (jar === undefined || jars.length > 1) throw new Error(`one jar was expected, not ${jars.length}`);
  return jar;
}

import { join } from 'node:path';
import { artifactFor, mariadbSeries } from '../embedded/artifacts.ts';
import { ensureCached, isCached } from '../embedded/cache.ts';
import { cacheFolder } from '../folders.ts';
import { findJava, findProgram } from '../programs.ts';
import type { KafkaBinaries } from '../servers/kafka.ts';
import { ensureClassArchive } from '../servers/kafka-class-archive.ts';
import type { Log, Product, StackConfig } from '../types.ts';
import type { Binaries } from './binaries.ts';
import type { Lack } from './choose.ts';

const platform = `${process.platform}-${process.arch}`;

/** What is missing to run the pinned artifact of a product. */
export async function checkEmbedded(product: Product, config: StackConfig, env: NodeJS.ProcessEnv): Promise<Lack> {
  const artifact = artifactFor(product, platform);
  if (artifact === null) return `there is no artifact for ${platform} (install it: see installed)`;
  const cached = await isCached(cacheFolder(config.cache, env), artifact);
  const lacks: string[] = [];
  if (product === 'kafka' || !cached) {
    const java = await findJava(env);
    if ('lacks' in java) lacks.push(java.lacks);
  }
  if (!cached && findProgram('mvn', env) === null) {
    lacks.push('mvn is not on the PATH (install Maven, e.g. the package maven)');
  }
  return lacks.length === 0 ? null : lacks.join(', ');
}

/** Downloads what is missing and says where it is. To be called for what `checkEmbedded` found possible. */
export async function getEmbedded(
  products: readonly Product[],
  options: { config: StackConfig; env: NodeJS.ProcessEnv; log: Log },
): Promise<Binaries> {
  const { config, env, log } = options;
  const artifacts = products.map((product) => artifactFor(product, platform)!);
  const folders = await ensureCached(artifacts, {
    cache: cacheFolder(config.cache, env),
    mvn: findProgram('mvn', env),
    env,
    log,
  });
  const binaries: Binaries = {};
  for (const [index, artifact] of artifacts.entries()) {
    const folder = folders[index]!;
    const shared = { provider: 'embedded', expectedVersion: artifact.version } as const;
    switch (artifact.product) {
      case 'mysql':
        binaries.mysql = {
          ...shared,
          mariadbd: join(folder, artifact.main),
          basedir: folder,
          share: join(folder, 'share'),
          series: mariadbSeries,
        };
        break;
      case 'redis':
        binaries.redis = { ...shared, redisServer: join(folder, artifact.main) };
        break;
      case 'kafka': {
        const java = await findJava(env);
        if ('lacks' in java) throw new Error(java.lacks);
        const found = { java: java.java, javaVersion: java.version, libs: folder, classArchive: null };
        const plain: KafkaBinaries = { ...shared, ...found };
        binaries.kafka = { ...plain, classArchive: await ensureClassArchive(plain, { env, log }) };
      }
    }
  }
  return binaries;
}

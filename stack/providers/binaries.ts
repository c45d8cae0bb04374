import type { KafkaBinaries } from '../servers/kafka.ts';
import type { MariadbBinaries } from '../servers/mariadb.ts';
import type { RedisBinaries } from '../servers/redis.ts';
import type { Log, Product, StackConfig } from '../types.ts';
import { getEmbedded } from './embedded.ts';
import { findKafka, findMariadb, findRedis } from './installed.ts';

/** Servers on disk that we start ourselves. */
export interface Binaries {
  mysql?: MariadbBinaries;
  redis?: RedisBinaries;
  kafka?: KafkaBinaries;
}

/** The installed ones where they are, and the embedded ones downloaded. For products whose provider was checked. */
export async function getBinaries(
  installed: readonly Product[],
  embedded: readonly Product[],
  options: { config: StackConfig; env: NodeJS.ProcessEnv; log: Log },
): Promise<Binaries> {
  const { env } = options;
  const binaries = await getEmbedded(embedded, options);
  if (installed.includes('mysql')) binaries.mysql = found(await findMariadb(env));
  if (installed.includes('redis')) binaries.redis = found(await findRedis(env));
  if (installed.includes('kafka')) binaries.kafka = found(await findKafka(env));
  return binaries;
}

function found<T>(answer: { binaries: T } | { lacks: string }): T {
  if ('lacks' in answer) throw new Error(answer.lacks);
  return answer.binaries;
}

import { readFileSync } from 'node:fs';
import { type Config, ConfigError } from './load.ts';
import { environmentName } from './variables.ts';

type TlsFiles = Pick<Config, 'kafkaTls' | 'kafkaTlsCa' | 'kafkaTlsCert' | 'kafkaTlsKey'>;

/** TLS with Kafka as configured, files read: false for none, true for Node's defaults. Throws `ConfigError` for a file that cannot be read. */
export function kafkaTlsOf(config: TlsFiles): boolean | { ca?: string; cert?: string; key?: string } {
  const { kafkaTls, kafkaTlsCa, kafkaTlsCert, kafkaTlsKey } = config;
  if (!kafkaTls || (kafkaTlsCa === undefined && kafkaTlsCert === undefined)) return kafkaTls;
  return {
    ...(kafkaTlsCa !== undefined && { ca: read('kafkaTlsCa', kafkaTlsCa) }),
    ...(kafkaTlsCert !== undefined && { cert: read('kafkaTlsCert', kafkaTlsCert) }),
    ...(kafkaTlsKey !== undefined && { key: read('kafkaTlsKey', kafkaTlsKey) }),
  };
}

function read(key: 'kafkaTlsCa' | 'kafkaTlsCert' | 'kafkaTlsKey', file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigError(
      `${environmentName(key)} is ${JSON.stringify(file)}; allowed: a file that can be read (${(cause as NodeJS.ErrnoException).code}).`,
    );
  }
}

import mysql from 'mysql2/promise';
import { StackError } from '../errors.ts';
import { demandBrokers } from '../servers/kafka.ts';
import { redisVersion } from '../servers/redis.ts';
import type { Product, StackConfig, StateServer } from '../types.ts';

const patienceMs = 10_000;

/** What names the endpoint of a product. */
export const endpointVariables: Record<Product, string> = {
  mysql: 'HOTBOARD_MYSQL_URL',
  redis: 'HOTBOARD_REDIS_URL',
  kafka: 'HOTBOARD_KAFKA_BROKERS',
};

/** What the environment says of a product; undefined where it says nothing. */
export function namedEndpoint(product: Product, config: StackConfig): string | undefined {
  switch (product) {
    case 'mysql':
      return config.mysqlUrl;
    case 'redis':
      return config.redisUrl;
    case 'kafka':
      return config.kafkaBrokers?.join(',');
  }
}

/** Asks an endpoint from the environment for its version. Throws `STACK_EXTERNAL_UNREACHABLE` where it does not answer. */
export async function describeExternal(product: Product, config: StackConfig): Promise<StateServer> {
  const named = namedEndpoint(product, config)!;
  const endpoint = withoutCredentials(product, named);
  const version = await patiently(() => versionOf(product, named, config)).catch((cause: Error & { code?: string }) => {
    throw new StackError(
      'STACK_EXTERNAL_UNREACHABLE',
      `${endpointVariables[product]} names ${endpoint}, which does not answer: ${cause.message || cause.code}`,
      { cause, retryable: true },
    );
  });
  const port = Number(/:([0-9]+)(?:,|$)/.exec(endpoint)?.[1] ?? 0);
  return { name: product, provider: 'external', endpoint, version, port, process: null };
}

async function versionOf(product: Product, named: string, config: StackConfig): Promise<string> {
  switch (product) {
    case 'mysql': {
      const connection = await mysql.createConnection({ uri: named, connectTimeout: 3000 });
      try {
        const [rows] = await connection.query('SELECT VERSION() AS version');
        return String((rows as { version: string }[])[0]!.version);
      } finally {
        connection.destroy();
      }
    }
    case 'redis':
      return redisVersion(named);
    case 'kafka':
      await demandBrokers(config.kafkaBrokers!, 1, security(config));
      // Brokers do not tell their release.
      return 'unknown';
  }
}

function security(config: StackConfig): Parameters<typeof demandBrokers>[2] {
  const {
    kafkaTls: ssl,
    kafkaSaslMechanism: mechanism,
    kafkaSaslUsername: username,
    kafkaSaslPassword: password,
  } = config;
  return mechanism === 'none' ? { ssl } : { ssl, sasl: { mechanism, username, password } as never };
}

async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const denied = /ACCESS_DENIED|NOAUTH|WRONGPASS|SASL/i.test(
        `${(error as { code?: string }).code} ${(error as Error).message}`,
      );
      if (denied || performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** host:port of an endpoint. */
export function withoutCredentials(product: Product, named: string): string {
  if (product === 'kafka') return named;
  const url = new URL(named);
  return `${url.hostname}:${url.port || (product === 'mysql' ? 3306 : 6379)}`;
}

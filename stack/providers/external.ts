import { kafkaTlsOf } from '../../config/kafka-tls.ts';
import { StackError } from '../errors.ts';
import type { Product, StackConfig, StackEnvironment, StateServer } from '../types.ts';
import { liveBrokers, mysqlVersion, patiently, redisVersion } from '../versions.ts';

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

/** The endpoints that the environment names, and those of our own servers. */
export function environmentOf(config: StackConfig, own: Partial<Record<Product, string>>): StackEnvironment {
  const value = (product: Product) => namedEndpoint(product, config) ?? own[product]!;
  return {
    HOTBOARD_MYSQL_URL: value('mysql'),
    HOTBOARD_REDIS_URL: value('redis'),
    HOTBOARD_KAFKA_BROKERS: value('kafka'),
  };
}

/** Asks an endpoint from the environment for its version. Throws `STACK_EXTERNAL_UNREACHABLE` where it does not answer. */
export async function describeExternal(
  product: Product,
  config: StackConfig,
  timeoutMs = patienceMs,
): Promise<StateServer> {
  const named = namedEndpoint(product, config)!;
  const endpoint = withoutCredentials(product, named);
  const version = await patiently(() => versionOf(product, named, config), timeoutMs, isRefusal).catch(
    (cause: Error & { code?: string }) => {
      throw new StackError(
        'STACK_EXTERNAL_UNREACHABLE',
        `${endpointVariables[product]} names ${endpoint}, which does not answer: ${cause.message || cause.code}`,
        { cause, retryable: true },
      );
    },
  );
  const port = Number(/:([0-9]+)(?:,|$)/.exec(endpoint)?.[1] ?? 0);
  return { name: product, provider: 'external', endpoint, version, port, process: null };
}

async function versionOf(product: Product, named: string, config: StackConfig): Promise<string> {
  switch (product) {
    case 'mysql':
      return mysqlVersion(named);
    case 'redis':
      return redisVersion(named);
    case 'kafka':
      await liveBrokers(config.kafkaBrokers!, security(config));
      // Brokers do not tell their release.
      return 'unknown';
  }
}

function security(config: StackConfig): Parameters<typeof liveBrokers>[1] {
  const ssl = kafkaTlsOf(config);
  const { kafkaSaslMechanism: mechanism, kafkaSaslUsername: username, kafkaSaslPassword: password } = config;
  return mechanism === 'none' ? { ssl } : { ssl, sasl: { mechanism, username, password } as never };
}

function isRefusal(error: Error & { code?: string }): boolean {
  return /ACCESS_DENIED|NOAUTH|WRONGPASS|SASL/i.test(`${error.code} ${error.message}`);
}

/** host:port of an endpoint. */
export function withoutCredentials(product: Product, named: string): string {
  if (product === 'kafka') return named;
  const url = new URL(named);
  return `${url.hostname}:${url.port || (product === 'mysql' ? 3306 : 6379)}`;
}

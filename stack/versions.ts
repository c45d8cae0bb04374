import type { KafkaConfig } from 'kafkajs';

// The drivers are slow to load, and most commands of the stack tool ask no server.

/** The version of the MySQL or MariaDB at a URL. */
export async function mysqlVersion(url: string): Promise<string> {
  const { default: mysql } = await import('mysql2/promise');
  const connection = await mysql.createConnection({ uri: url, connectTimeout: 3000 });
  try {
    const [rows] = await connection.query('SELECT VERSION() AS version');
    return String((rows as { version: string }[])[0]!.version);
  } finally {
    await connection.end().catch(() => {});
  }
}

/** Asks again until it is answered. Gives up after `timeoutMs`, or at once where a password is refused by `final`. */
export async function patiently<T>(
  ask: () => Promise<T>,
  timeoutMs: number,
  final: (error: Error) => boolean = () => false,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (final(error as Error) || performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** The version of the Redis at a URL. Throws where it does not answer, or is still loading its data. */
export async function redisVersion(url: string): Promise<string> {
  const { Redis } = await import('ioredis');
  const client = new Redis(url, {
    lazyConnect: true,
    retryStrategy: null,
    connectTimeout: 2000,
    maxRetriesPerRequest: 0,
  });
  let failure: unknown;
  client.on('error', (error) => {
    failure = error;
  });
  try {
    await client.connect();
    await client.ping();
    return /redis_version:(\S+)/.exec(await client.info('server'))?.[1] ?? 'unknown';
  } catch (error) {
    throw failure ?? error;
  } finally {
    client.disconnect();
  }
}

/** host:port of the brokers that the cluster knows to be alive. Throws where it does not answer. */
export async function liveBrokers(brokers: string[], security: Partial<KafkaConfig> = {}): Promise<string[]> {
  const { default: kafkajs } = await import('kafkajs');
  const { Kafka, logLevel } = kafkajs;
  const admin = new Kafka({
    clientId: 'hotboard-stack',
    brokers,
    logLevel: logLevel.NOTHING,
    connectionTimeout: 3000,
    requestTimeout: 5000,
    retry: { retries: 0 },
    ...security,
  }).admin();
  try {
    await admin.connect();
    const cluster = await admin.describeCluster();
    if (cluster.brokers.length === 0) throw new Error('no broker is registered yet');
    return cluster.brokers.map(({ host, port }) => `${host}:${port}`);
  } finally {
    await admin.disconnect().catch(() => {});
  }
}

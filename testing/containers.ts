import { cacheFolder } from '../stack/folders.ts';
import { freePorts } from '../stack/ports.ts';
import { checkDocker, composeImages } from '../stack/providers/docker.ts';
import { namedEndpoint } from '../stack/providers/external.ts';
import type { Log, StackConfig, StackEnvironment } from '../stack/types.ts';
import { products } from '../stack/types.ts';

export interface TestContainers {
  servers: { name: string; provider: string; version: string }[];
  environment: StackEnvironment;
  stop(): Promise<void>;
}

/**
 * MySQL, Redis and Kafka by testcontainers, with the images of docker-compose.yml; null where Docker does not work, where the
 * environment names endpoints, or where HOTBOARD_STACK asks for something else. Containers that a killed test run leaves are removed
 * by testcontainers' own reaper.
 */
export async function startContainers(
  config: StackConfig,
  env: NodeJS.ProcessEnv,
  log: Log,
): Promise<TestContainers | null> {
  const named = products.some((product) => namedEndpoint(product, config) !== undefined);
  if (named || (config.stack !== 'auto' && config.stack !== 'docker')) return null;
  const lack = await checkDocker(products, { env, cache: cacheFolder(config.cache, env), log });
  if (lack !== null) return null;
  try {
    return await start();
  } catch (error) {
    log(`testcontainers failed (${(error as Error).message.split('\n')[0]}): using the stack's own servers`);
    return null;
  }
}

async function start(): Promise<TestContainers> {
  // Slow to load, and needed only here.
  const { GenericContainer, Wait } = await import('testcontainers');
  const images = composeImages();
  const password = 'hotboard-tests';
  const [kafkaPort] = await freePorts(1);
  const started = await Promise.allSettled([
    new GenericContainer(images.mysql)
      .withEnvironment({ MYSQL_ROOT_PASSWORD: password })
      .withCommand(['--transaction-isolation=READ-COMMITTED', '--max-connections=500', '--skip-name-resolve'])
      .withTmpFs({ '/var/lib/mysql': 'rw' })
      .withExposedPorts(3306)
      // It starts twice: once to make its tables, without a port.
      .withWaitStrategy(Wait.forLogMessage(/ready for connections.*port: 3306/))
      .start(),
    new GenericContainer(images.redis).withExposedPorts(6379).withWaitStrategy(Wait.forListeningPorts()).start(),
    new GenericContainer(images.kafka)
      .withEnvironment(kafkaEnvironment(kafkaPort!))
      .withExposedPorts({ container: 9092, host: kafkaPort! })
      .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
      .start(),
  ]);
  const containers = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const stop = async () => {
    await Promise.all(containers.map((container) => container.stop({ timeout: 0 })));
  };
  const failed = started.find((result) => result.status === 'rejected');
  if (failed) {
    await stop();
    throw failed.reason;
  }
  const [mysql, redis] = containers;
  return {
    servers: products.map((name) => ({ name, provider: 'testcontainers', version: images[name].split(':')[1] ?? '' })),
    environment: {
      HOTBOARD_MYSQL_URL: `mysql://root:${password}@${mysql!.getHost()}:${mysql!.getMappedPort(3306)}`,
      HOTBOARD_REDIS_URL: `redis://${redis!.getHost()}:${redis!.getMappedPort(6379)}`,
      HOTBOARD_KAFKA_BROKERS: `127.0.0.1:${kafkaPort}`,
    },
    stop,
  };
}

/** As in docker-compose.yml: clients come through the mapped port, the broker itself by INTERNAL. */
function kafkaEnvironment(port: number): Record<string, string> {
  return {
    KAFKA_PROCESS_ROLES: 'broker,controller',
    KAFKA_NODE_ID: '1',
    KAFKA_CONTROLLER_QUORUM_VOTERS: '1@127.0.0.1:9093',
    KAFKA_LISTENERS: 'PLAINTEXT://0.0.0.0:9092,INTERNAL://127.0.0.1:19092,CONTROLLER://127.0.0.1:9093',
    KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://127.0.0.1:${port},INTERNAL://127.0.0.1:19092`,
    KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT',
    KAFKA_INTER_BROKER_LISTENER_NAME: 'INTERNAL',
    KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
    KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
    KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
    KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS: '4',
    KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1',
    KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: '1',
    KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS: '4',
    KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR: '1',
    KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR: '1',
    KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
  };
}

import { choosePort, demandFree, freePorts } from './ports.ts';
import type { Binaries } from './providers/binaries.ts';
import { type KafkaNode, prepareKafka } from './servers/kafka.ts';
import { mysqlUrl, prepareMariadb } from './servers/mariadb.ts';
import { prepareRedis } from './servers/redis.ts';
import type { Places, PreparedServer } from './servers/server.ts';
import type { StackSettings } from './settings.ts';
import type { Product, StackConfig } from './types.ts';

/**
 * Chooses ports for the servers that we run ourselves, notes them in `settings`, and returns what to start and the
 * endpoints to reach it. Throws `STACK_PORT_TAKEN`.
 */
export async function prepareServers(
  binaries: Binaries,
  options: {
    places: Places;
    settings: StackSettings;
    config: StackConfig;
    env: NodeJS.ProcessEnv;
    kafkaNodes: number;
    quickStart: boolean;
  },
): Promise<{ prepared: PreparedServer[]; urls: Partial<Record<Product, string>> }> {
  const { places, settings, config, env } = options;
  const { ports } = settings;
  const prepared: PreparedServer[] = [];
  const urls: Partial<Record<Product, string>> = {};
  if (binaries.mysql) {
    const port = await choosePort({ variable: 'HOTBOARD_MYSQL_PORT', configured: config.mysqlPort, last: ports.mysql });
    ports.mysql = port;
    prepared.push(prepareMariadb(binaries.mysql, { places, port, password: settings.mysqlPassword, env }));
    urls.mysql = mysqlUrl(port, settings.mysqlPassword);
  }
  if (binaries.redis) {
    const port = await choosePort({ variable: 'HOTBOARD_REDIS_PORT', configured: config.redisPort, last: ports.redis });
    ports.redis = port;
    prepared.push(prepareRedis(binaries.redis, { places, port, env }));
    urls.redis = `redis://127.0.0.1:${port}`;
  }
  if (binaries.kafka) {
    const nodes = await kafkaPorts(config.kafkaPort, options.kafkaNodes, ports);
    const { quickStart } = options;
    prepared.push(
      ...prepareKafka(binaries.kafka, { places, nodes, clusterId: settings.kafkaClusterId, env, quickStart }),
    );
    urls.kafka = nodes.map(({ port }) => `127.0.0.1:${port}`).join(',');
  }
  return { prepared, urls };
}

/** A configured port is the first broker's; the next brokers take the ports after it. */
async function kafkaPorts(configured: number, count: number, last: Record<string, number>): Promise<KafkaNode[]> {
  const controllers = await freePorts(count);
  const nodes: KafkaNode[] = [];
  for (let id = 1; id <= count; id++) {
    const key = `kafka-${id}`;
    const variable = 'HOTBOARD_KAFKA_PORT';
    const wanted = configured === 0 ? 0 : configured + id - 1;
    if (wanted > 0) await demandFree(wanted, variable);
    const port = wanted > 0 ? wanted : await choosePort({ variable, configured: 0, last: last[key] });
    last[key] = port;
    nodes.push({ id, port, controllerPort: controllers[id - 1]! });
  }
  return nodes;
}

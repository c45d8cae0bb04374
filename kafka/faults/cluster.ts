import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import { loadConfig } from '../../config/load.ts';
import { KafkaProxy } from '../../faults/proxy/kafka-proxy.ts';
import { type RunningServer, type RunningStack, startStack } from '../../stack/stack.ts';
import { testServers } from '../../testing/servers.ts';
import { until } from '../../testing/until.ts';
import { createPlatformaticPort } from '../platformatic/platformatic-port.ts';
import type { Admin } from '../port.ts';
import type { NetworkFault, ServerFault } from './plan.ts';

const healthyWithinMs = 120_000;

/** Three brokers with proxies before them, and the means to break both. Topics have three copies, two must have a message. */
export class FaultCluster {
  readonly brokers: readonly string[];
  readonly proxy: KafkaProxy;
  readonly admin: Admin;
  readonly #stack: RunningStack;
  readonly #servers: readonly RunningServer[];
  readonly #folder: string;

  private constructor(stack: RunningStack, proxy: KafkaProxy, folder: string) {
    this.#stack = stack;
    this.#servers = stack.servers.filter(({ name }) => name.startsWith('kafka'));
    this.#folder = folder;
    this.brokers = stack.environment.HOTBOARD_KAFKA_BROKERS.split(',');
    this.proxy = proxy;
    this.admin = createPlatformaticPort({ brokers: this.brokers, clientId: 'fault-suite' }).admin();
  }

  static async start(): Promise<FaultCluster> {
    const { mysqlUrl, redisUrl } = testServers();
    const { HOTBOARD_KAFKA_BROKERS, HOTBOARD_KAFKA_PORT, HOTBOARD_STACK, HOTBOARD_DATA, ...others } = process.env;
    // MySQL and Redis are those of the other tests: nobody uses them here.
    const env = { ...others, HOTBOARD_MYSQL_URL: mysqlUrl, HOTBOARD_REDIS_URL: redisUrl };
    const folder = mkdtempSync(join(tmpdir(), 'hotboard-kafka-faults-'));
    const stack = await startStack({
      config: loadConfig(env),
      env,
      data: folder,
      keepData: false,
      quickStart: true,
      kafkaNodes: 3,
      startedBy: 'the Kafka fault suite',
      log: () => {},
    });
    return new FaultCluster(stack, await KafkaProxy.start(stack.environment.HOTBOARD_KAFKA_BROKERS.split(',')), folder);
  }

  async stop(): Promise<void> {
    await this.admin.close();
    await this.proxy.stop();
    await this.#stack.stop();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Breaks a broker and repairs it; resolves when all copies of all topics are in sync again. */
  async breakServer(fault: ServerFault, broker: number, forMs: number): Promise<void> {
    const server = this.#servers[broker]!;
    switch (fault) {
      case 'stop':
      case 'kill':
        await server[fault]();
        await pause(forMs);
        await server.start();
        break;
      case 'freeze':
        await server.suspend();
        await pause(forMs);
        await server.resume();
        break;
      case 'move':
        await this.#moveLeaders();
        break;
    }
    await this.untilHealthy();
  }

  /** Breaks the way to one broker, or to all, and repairs it. Brokers reach each other all the time. */
  async breakNetwork(fault: NetworkFault, broker: number | null, forMs: number): Promise<void> {
    const proxies = broker === null ? this.proxy.proxies : [this.proxy.proxies[broker]!];
    if (fault === 'cut') {
      for (const proxy of proxies) proxy.cut();
    } else if (fault === 'refuse') {
      await Promise.all(proxies.map((proxy) => proxy.refuse()));
      await pause(forMs);
      await Promise.all(proxies.map((proxy) => proxy.listen()));
    } else {
      for (const proxy of proxies) proxy.set(fault);
      await pause(forMs);
      for (const proxy of proxies) proxy.set({ mode: 'pass' });
    }
  }

  /** Every partition has a leader, and all of its copies are in sync. */
  async untilHealthy(): Promise<void> {
    await until('all copies of all partitions are in sync', healthyWithinMs, async () => {
      const lacking: string[] = [];
      for (const topic of await this.admin.listTopics()) {
        for (const { partition, leader, replicas, inSyncReplicas } of (await this.admin.describeTopic(topic))
          .partitions) {
          if (leader < 0 || inSyncReplicas.length < replicas.length) lacking.push(`${topic}/${partition}`);
        }
      }
      if (lacking.length > 0) throw new Error(lacking.join(', '));
      return true;
    });
  }

  /**
   * Puts another replica first for each partition; the controller makes it the leader within seconds, all brokers being
   * up. The port does not reassign partitions, so this goes past it.
   */
  async #moveLeaders(): Promise<void> {
    const native = new kafkajs.Kafka({ brokers: [...this.brokers], logLevel: kafkajs.logLevel.NOTHING }).admin();
    await native.connect();
    try {
      const topics = (await this.admin.listTopics()).filter((topic) => !topic.startsWith('__'));
      const wanted = await Promise.all(
        topics.map(async (topic) => ({
          topic,
          partitionAssignment: (await this.admin.describeTopic(topic)).partitions.map(({ partition, replicas }) => ({
            partition,
            replicas: [...replicas.slice(1), replicas[0]!],
          })),
        })),
      );
      await native.alterPartitionReassignments({ topics: wanted });
      await until('the leaders have moved', healthyWithinMs, async () => {
        for (const { topic, partitionAssignment } of wanted) {
          const { partitions } = await this.admin.describeTopic(topic);
          if (!partitions.every(({ partition, leader }) => leader === partitionAssignment[partition]?.replicas[0])) {
            return false;
          }
        }
        return true;
      });
    } finally {
      await native.disconnect();
    }
  }
}

import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeEnvironment, nodeFlags, planCluster } from '../../cluster/plan.ts';
import { databaseName } from '../../config/database-url.ts';
import { type Config, loadConfig } from '../../config/load.ts';
import { boardSources } from '../../events/board.ts';
import { createPlatformaticPort } from '../../kafka/platformatic/platformatic-port.ts';
import type { Admin, ReadingKafkaPort } from '../../kafka/port.ts';
import { migrateAll } from '../../migrations/all.ts';
import { inboxMigrations } from '../../migrations/inbox/index.ts';
import { migrateDatabase } from '../../migrations/run.ts';
import { eventTopics } from '../../migrations/topics.ts';
import { type RunningStack, startStack } from '../../stack/stack.ts';
import { BoardClient } from '../../testing/board-client.ts';
import { freePorts } from '../../testing/free-ports.ts';
import { until } from '../../testing/until.ts';
import { createTotal } from '../auditor/tables.ts';
import { KafkaProxy } from '../proxy/kafka-proxy.ts';
import type { Direction } from '../proxy/mode.ts';
import { TcpProxy } from '../proxy/proxy.ts';
import { Truth } from '../truth/truth.ts';
import { type NodeEvent, NodeProcess } from './node-process.ts';

const flags = ['--disable-warning=ExperimentalWarning', '--disable-warning=TimeoutNegativeWarning'];
const nodeScript = fileURLToPath(new URL('../../cluster/node.ts', import.meta.url));
const auditorScript = fileURLToPath(new URL('../auditor/auditor.ts', import.meta.url));
export const shutdownMs = 15_000;
/** A node whose port was taken meanwhile would be started again for ever. */
const readyLimitMs = 180_000;

type Inspect = (chunk: Buffer, direction: Direction, connection: number) => void;

/** A node with its own ways to MySQL and Kafka, each of which can be broken; `inspect` sees what goes through them. */
export interface FaultNode {
  process: NodeProcess;
  mysql: TcpProxy;
  kafka: KafkaProxy;
  inspect: { mysql: Inspect | null; kafka: Inspect | null };
}

export interface WorldOptions {
  kafkaNodes: 1 | 3;
  /** Where each process's lines of the history go. */
  historyFolder: string;
  log(from: string, text: string): void;
}

/** A whole board on servers of its own, with proxies, accounts, an auditor and the truth tables around it. */
export class World {
  readonly config: Config;
  readonly stack: RunningStack;
  readonly truth: Truth;
  readonly nodes = new Map<string, FaultNode>();
  readonly events: NodeEvent[] = [];
  readonly kafka: ReadingKafkaPort;
  readonly admin: Admin;
  readonly gateways: string[] = [];
  readonly client: BoardClient;
  readonly #options: WorldOptions;
  readonly #folder: string;
  readonly #env: Record<string, string | undefined>;
  readonly #password = randomBytes(12).toString('hex');
  #nextOpsPort: number;

  private constructor(
    options: WorldOptions,
    parts: {
      folder: string;
      stack: RunningStack;
      truth: Truth;
      env: Record<string, string | undefined>;
      opsPort: number;
    },
  ) {
    this.#options = options;
    this.#folder = parts.folder;
    this.#env = parts.env;
    this.#nextOpsPort = parts.opsPort;
    this.stack = parts.stack;
    this.truth = parts.truth;
    this.config = loadConfig(parts.env);
    this.kafka = createPlatformaticPort({ brokers: this.brokers, clientId: 'faults' });
    this.admin = this.kafka.admin();
    for (const { httpPort } of planCluster(this.config))
      if (httpPort !== null) this.gateways.push(`http://127.0.0.1:${httpPort}`);
    this.client = new BoardClient(this.gateways, this.config.jwtSecret!);
  }

  /** Servers, databases, topics, truth, nodes. Resolves when every node is ready. */
  static async start(options: WorldOptions): Promise<World> {
    const folder = mkdtempSync(join(tmpdir(), 'hotboard-faults-'));
    mkdirSync(options.historyFolder, { recursive: true });
    const { HOTBOARD_MYSQL_URL, HOTBOARD_REDIS_URL, HOTBOARD_KAFKA_BROKERS, ...given } = process.env;
    const firstPort = await freePorts(16);
    const env = {
      ...given,
      HOTBOARD_HTTP_PORT: String(firstPort),
      HOTBOARD_OPS_PORT: String(firstPort + 2),
      HOTBOARD_JWT_SECRET: randomBytes(32).toString('base64url'),
      HOTBOARD_SHUTDOWN_MS: String(shutdownMs),
    };
    const say = (text: string) => options.log('servers', text);
    const stack = await startStack({
      config: loadConfig(env),
      env,
      data: folder,
      keepData: false,
      quickStart: true,
      kafkaNodes: options.kafkaNodes,
      startedBy: 'npm run faults',
      log: say,
    });
    let world: World | null = null;
    try {
      const full = { ...env, ...stack.environment };
      const config = loadConfig(full);
      await createTopics(config);
      await migrateAll({ config, log: say });
      const auditor = databaseName(config, 'auditor');
      await migrateDatabase({ url: new URL(`/${auditor}`, config.mysqlUrl).href, sets: [inboxMigrations] });
      const truth = await Truth.install(config, auditor);
      await truth.rows(createTotal.replace('EXISTS total', `EXISTS ${auditor}.total`));
      world = new World(options, { folder, stack, truth, env: full, opsPort: firstPort + 8 });
      await world.#startNodes();
      return world;
    } catch (error) {
      if (world) await world.stop();
      else await stack.stop();
      throw error;
    }
  }

  get brokers(): string[] {
    return this.config.kafkaBrokers as string[];
  }

  node(name: string): FaultNode {
    const node = this.nodes.get(name);
    if (!node) throw new Error(`there is no node ${name}`);
    return node;
  }

  /** Nodes whose names begin so, in order, but for guests that have left. */
  those(prefix: string): FaultNode[] {
    return [...this.nodes.values()].filter(({ process }) => process.name.startsWith(prefix) && !process.isStopped);
  }

  /** Tries the ways around a node's proxies again: connections that are stuck are reset. */
  heal(node: FaultNode): void {
    node.inspect.mysql = null;
    node.inspect.kafka = null;
    node.mysql.cut();
    node.kafka.cut();
    node.mysql.set({ mode: 'pass' });
    node.kafka.set({ mode: 'pass' });
  }

  /** One more node that runs these services, or one more auditor, for a while. */
  async addNode(name: string, services: readonly string[] | 'auditor'): Promise<FaultNode> {
    if (services === 'auditor') return this.#addAuditor(name);
    const plan = {
      nodeId: name,
      role: 'hot-article' as const,
      services: [...services],
      httpPort: null,
      opsPort: this.#nextOpsPort++,
    };
    return this.#add(name, [...flags, nodeScript], (env) => nodeEnvironment(plan, env));
  }

  async stop(): Promise<void> {
    const limitMs = shutdownMs + 2_000;
    for (const prefix of ['edge', 'relay', 'hot-article', 'auditor']) {
      await Promise.all(this.those(prefix).map(({ process }) => process.stop(limitMs)));
    }
    await Promise.all([...this.nodes.values()].flatMap(({ mysql, kafka }) => [mysql.stop(), kafka.stop()]));
    await this.admin.close().catch(() => {});
    await this.truth.close().catch(() => {});
    await this.stack.stop();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #startNodes(): Promise<void> {
    for (const plan of planCluster(this.config)) {
      await this.#add(plan.nodeId, [...flags, ...nodeFlags(plan.role), nodeScript], (env) =>
        nodeEnvironment(plan, env),
      );
    }
    for (const name of ['auditor-1', 'auditor-2']) await this.#addAuditor(name);
    const processes = [...this.nodes.values()].map(({ process }) => process);
    await until('every node is ready (nodes.log says why one is not)', readyLimitMs, () => {
      const missing = processes.filter(({ isReady }) => !isReady).map(({ name }) => name);
      if (missing.length > 0) throw new Error(`${missing.join(', ')} not ready`);
      return true;
    });
  }

  #addAuditor(name: string): Promise<FaultNode> {
    const file = join(this.#options.historyFolder, `${name}.jsonl`);
    return this.#add(name, (env) => {
      const url = new URL(`/${this.truth.databases.auditor}`, env.HOTBOARD_MYSQL_URL).href;
      return [...flags, auditorScript, url, this.truth.databases.truth, env.HOTBOARD_KAFKA_BROKERS!, name, file];
    });
  }

  async #add(
    name: string,
    args: readonly string[] | ((env: Record<string, string | undefined>) => string[]),
    environment: (env: Record<string, string | undefined>) => Record<string, string | undefined> = (env) => env,
  ): Promise<FaultNode> {
    await this.truth.addAccount(name, this.#password);
    const inspect: FaultNode['inspect'] = { mysql: null, kafka: null };
    const server = new URL(this.config.mysqlUrl!);
    const mysql = await TcpProxy.start({
      target: { host: server.hostname, port: Number(server.port) },
      inspect: (chunk, direction, connection) => inspect.mysql?.(chunk, direction, connection),
    });
    const kafka = await KafkaProxy.start(this.brokers, {
      inspect: (chunk, direction, connection) => inspect.kafka?.(chunk, direction, connection),
    });
    const env = environment({
      ...this.#env,
      HOTBOARD_MYSQL_URL: `mysql://${name}:${this.#password}@127.0.0.1:${mysql.port}`,
      // nothing is broken between edges and Kafka but Kafka itself
      ...(name.startsWith('edge') ? {} : { HOTBOARD_KAFKA_BROKERS: kafka.brokers.join(',') }),
    });
    const spec = { name, args: typeof args === 'function' ? args(env) : args, env };
    const process = new NodeProcess(spec, this.#options.log, (event) => this.events.push(event));
    const node = { process, mysql, kafka, inspect };
    this.nodes.set(name, node);
    process.start();
    return node;
  }
}

/** Before the migrations make them: with the broker's time in each message, which cannot be that of before the send. */
async function createTopics(config: Config): Promise<void> {
  const admin = createPlatformaticPort({ brokers: config.kafkaBrokers as string[], clientId: 'faults' }).admin();
  try {
    const topics = eventTopics(config.topicPrefix, boardSources);
    await admin.createTopics(
      topics.map((spec) => ({ ...spec, config: { ...spec.config, 'message.timestamp.type': 'LogAppendTime' } })),
    );
  } finally {
    await admin.close();
  }
}

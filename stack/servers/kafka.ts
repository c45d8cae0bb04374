import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { StackError } from '../errors.ts';
import { plainPath } from '../folders.ts';
import type { Provider, ServerName } from '../types.ts';
import { liveBrokers } from '../versions.ts';
import { logSize, type Places, type PreparedServer, readLog, serverEnvironment } from './server.ts';

export interface KafkaBinaries {
  provider: Provider;
  java: string;
  /** What `java -version` prints. */
  javaVersion: string;
  /** Folder with the jars. */
  libs: string;
  /** See kafka-class-archive.ts. */
  classArchive: string | null;
  expectedVersion: string | null;
}

/** Ports of one broker, which is its own controller too. */
export interface KafkaNode {
  id: number;
  port: number;
  controllerPort: number;
}

const log4j = `Configuration:
  status: WARN
  Appenders:
    Console: {name: STDOUT, target: SYSTEM_OUT, PatternLayout: {pattern: "%d{ISO8601} %p %c{1} - %m%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: [{ref: STDOUT}]}
    Logger:
      - {name: org.apache.kafka.common.utils.AppInfoParser, level: INFO}
      - {name: kafka.server.KafkaRaftServer, level: INFO}
      - {name: kafka.server.BrokerServer, level: INFO}
`;

/** The settings of a broker. With three or more nodes a topic has three copies, and two must have a message. */
export function brokerProperties(node: KafkaNode, nodes: readonly KafkaNode[], logDirs: string): string {
  const copies = Math.min(3, nodes.length);
  const needed = Math.max(1, copies - 1);
  const settings: Record<string, string | number | boolean> = {
    'process.roles': 'broker,controller',
    'node.id': node.id,
    'controller.quorum.voters': nodes.map(({ id, controllerPort }) => `${id}@127.0.0.1:${controllerPort}`).join(','),
    listeners: `PLAINTEXT://127.0.0.1:${node.port},CONTROLLER://127.0.0.1:${node.controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${node.port}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': logDirs,
    'num.partitions': 12,
    'default.replication.factor': copies,
    'min.insync.replicas': needed,
    'offsets.topic.replication.factor': copies,
    'offsets.topic.num.partitions': 4,
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': needed,
    'transaction.state.log.num.partitions': 4,
    'share.coordinator.state.topic.replication.factor': copies,
    'share.coordinator.state.topic.min.isr': needed,
    'share.coordinator.state.topic.num.partitions': 1,
    'group.initial.rebalance.delay.ms': 0,
    'auto.create.topics.enable': false,
    'unclean.leader.election.enable': false,
    'num.network.threads': 2,
    'num.io.threads': nodes.length > 1 ? 2 : 4,
    'log.cleaner.dedupe.buffer.size': 4_194_304,
  };
  if (nodes.length > 1) {
    // A leader that died is replaced within seconds.
    settings['broker.session.timeout.ms'] = 3000;
    settings['broker.heartbeat.interval.ms'] = 500;
    settings['replica.fetch.wait.max.ms'] = 100;
    settings['leader.imbalance.check.interval.seconds'] = 3;
    settings['leader.imbalance.per.broker.percentage'] = 0;
  }
  return Object.entries(settings)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}

/** Kafka brokers on loopback, without ZooKeeper. */
export function prepareKafka(
  binaries: KafkaBinaries,
  options: {
    places: Places;
    nodes: readonly KafkaNode[];
    clusterId: string;
    env: NodeJS.ProcessEnv;
    /** Half the processor time for a start, less throughput later: the JVM leaves out its optimizing compiler. */
    quickStart?: boolean;
  },
): PreparedServer[] {
  const several = options.nodes.length > 1;
  const heap = several ? '256m' : '512m';
  return options.nodes.map((node) => {
    const name: ServerName = several ? `kafka-${node.id}` : 'kafka';
    const { places } = options;
    const folder = join(places.data, `kafka-${node.id}`);
    const properties = join(places.run, `kafka-${node.id}.properties`);
    const logging = join(places.run, 'log4j2.yaml');
    const logFile = join(places.logs, `${name}.log`);
    const classPath = `${plainPath(binaries.libs, places.run, `kafka-${node.id}-libs`)}/*`;
    const env = serverEnvironment(options.env);
    // Native libraries are unpacked into java.io.tmpdir, and stay there after a kill.
    const java = [
      `-Dlog4j2.configurationFile=${logging}`,
      `-Djava.io.tmpdir=${places.run}`,
      '-Djava.awt.headless=true',
      ...(binaries.classArchive === null ? [] : [`-XX:SharedArchiveFile=${binaries.classArchive}`]),
      '-cp',
      classPath,
    ];
    let logStart = 0;
    return {
      name,
      provider: binaries.provider,
      port: node.port,
      expectedVersion: binaries.expectedVersion,
      command: {
        name,
        command: binaries.java,
        args: [
          `-Xmx${heap}`,
          ...(options.quickStart ? ['-XX:TieredStopAtLevel=1'] : []),
          ...java,
          'kafka.Kafka',
          properties,
        ],
        env,
        cwd: places.run,
        logFile,
        stopGraceMs: 20_000,
      },
      async prepare() {
        const logDirs = plainPath(folder, places.run, `kafka-${node.id}-data`);
        await writeFile(logging, log4j);
        await writeFile(properties, brokerProperties(node, options.nodes, logDirs));
        logStart = await logSize(logFile);
        if (!existsSync(folder)) {
          await format(binaries.java, java, { folder, properties, logDirs, clusterId: options.clusterId, env, places });
        }
      },
      async probe() {
        const self = `127.0.0.1:${node.port}`;
        if (!(await liveBrokers([self])).includes(self)) throw new Error(`${self} is not registered yet`);
        const versions = [...(await readLog(logFile, logStart, 1_000_000)).matchAll(/Kafka version: (\S+)/g)];
        return versions.at(-1)?.[1] ?? 'unknown';
      },
    };
  });
}

/** The folder takes its name when it is complete. */
async function format(
  java: string,
  options: readonly string[],
  where: {
    folder: string;
    properties: string;
    logDirs: string;
    clusterId: string;
    env: Record<string, string>;
    places: Places;
  },
): Promise<void> {
  const next = `${where.folder}.next`;
  await rm(next, { recursive: true, force: true });
  await mkdir(next, { recursive: true, mode: 0o700 });
  const properties = `${where.properties}.format`;
  const logDirs = plainPath(next, where.places.run, `${where.logDirs.split('/').at(-1)}-next`);
  await writeFile(
    properties,
    (await readFile(where.properties, 'utf8')).replace(/^log\.dirs=.*$/m, `log.dirs=${logDirs}`),
  );
  const quick = ['-Xmx128m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
  const tool = ['kafka.tools.StorageTool', 'format', '-t', where.clusterId, '-c', properties];
  await promisify(execFile)(java, [...quick, ...options, ...tool], { env: where.env, cwd: where.places.run }).catch(
    (cause: Error & { stderr?: string; stdout?: string }) => {
      const said = `${cause.stderr ?? ''}${cause.stdout ?? ''}`.trim().split('\n').slice(-2).join(' ');
      throw new StackError('STACK_SERVER_FAILED', `Kafka could not make its data folder ${where.folder}: ${said}`, {
        cause,
      });
    },
  );
  await rename(next, where.folder);
}

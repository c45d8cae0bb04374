import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import mysql, { type Connection, type RowDataPacket } from 'mysql2/promise';
import { loadConfig } from '../../config/load.ts';
import { headersOf } from '../../events/envelope.ts';
import { partitionOf } from '../../kafka/partitioner.ts';
import { createPlatformaticPort } from '../../kafka/platformatic/platformatic-port.ts';
import type { Admin, OutgoingMessage, Publisher } from '../../kafka/port.ts';
import { inboxMigrations } from '../../migrations/inbox/index.ts';
import { migrateDatabase } from '../../migrations/run.ts';
import { type RunningStack, startStack } from '../../stack/stack.ts';
import { until } from '../../testing/until.ts';
import { testEvent } from '../testing/events.ts';
import type { InboxMode } from '../types.ts';
import { checkStorm, type Effect, type Published, type Sample } from './check.ts';
import { Group, type MemberFault } from './group.ts';

export type Fault = MemberFault | { mysqlAwayMs: number } | { pauseMs: number };

export interface StormOptions {
  mode: InboxMode;
  faults: readonly Fault[];
}

export interface StormReport {
  mode: InboxMode;
  events: number;
  poison: number;
  samples: number;
  tookS: number;
  violations: string[];
}

const partitions = 6;
const aggregates = 40;
const createEffects = `
CREATE TABLE effects (n BIGINT AUTO_INCREMENT PRIMARY KEY, kafka_partition INT NOT NULL, kafka_offset BIGINT NOT NULL,
aggregate_id VARCHAR(20) NOT NULL, version INT NOT NULL) ENGINE=InnoDB`;
const settledBelow = `
SELECT (SELECT COUNT(*) FROM effects WHERE kafka_partition = ? AND kafka_offset < ?)
+ (SELECT COUNT(*) FROM inbox_parked WHERE kafka_partition = ? AND kafka_offset < ?)
+ (SELECT COUNT(*) FROM dead_letter WHERE kafka_partition = ? AND kafka_offset < ?) AS settled`;

/** Servers of its own, as MySQL is killed. */
export async function stormStack(): Promise<RunningStack> {
  const { HOTBOARD_MYSQL_URL, HOTBOARD_REDIS_URL, HOTBOARD_KAFKA_BROKERS, ...env } = process.env;
  return startStack({
    config: loadConfig(env),
    env,
    data: join(tmpdir(), `hotboard-storm-${randomBytes(6).toString('hex')}`),
    keepData: false,
    quickStart: true,
    startedBy: 'inbox storm',
    log: () => {},
  });
}

/** Three processes apply a stream of events while they and their database are broken; then everything is counted again. */
export async function runStorm(stack: RunningStack, { mode, faults }: StormOptions): Promise<StormReport> {
  const startedMs = performance.now();
  const name = `storm_${randomBytes(4).toString('hex')}`;
  const url = new URL(`/${name}`, stack.environment.HOTBOARD_MYSQL_URL).href;
  const brokers = stack.environment.HOTBOARD_KAFKA_BROKERS.split(',');
  const kafka = createPlatformaticPort({ brokers, clientId: name });
  const [admin, publisher] = [kafka.admin(), kafka.publisher()];
  await migrateDatabase({ url, sets: [inboxMigrations] });
  await query(url, createEffects);
  await admin.createTopics([{ topic: name, partitions }]);
  const group = new Group({ brokers, url, topic: name, group: name, mode });
  const load = new Load(publisher, name);
  const watch = new Watch(admin, url, name);
  try {
    for (const fault of faults) {
      if (typeof fault === 'string') await group.break(fault);
      else if ('pauseMs' in fault) await pause(fault.pauseMs);
      else {
        await stack.server('mysql').kill();
        await pause(fault.mysqlAwayMs);
        await stack.server('mysql').start();
      }
    }
    const published = await load.stop();
    const expected = [...published.versions.values()].reduce((sum, each) => sum + each, 0);
    const effected = async () => Number((await query(url, 'SELECT COUNT(*) AS n FROM effects'))[0]!.n);
    // Whether all came is for the check to say.
    await until('all effects', 240_000, async () => (await effected()) >= expected, 200).catch(() => undefined);
    await group.stop();
    const samples = await watch.stop();
    const effects = (await query(
      url,
      'SELECT aggregate_id AS aggregateId, version FROM effects ORDER BY n',
    )) as Effect[];
    const [letters] = await query(url, 'SELECT COUNT(*) AS n FROM dead_letter');
    return {
      mode,
      events: expected,
      poison: published.poison,
      samples: samples.length,
      tookS: Math.round((performance.now() - startedMs) / 1000),
      violations: checkStorm(published, effects, Number(letters!.n), samples),
    };
  } finally {
    await load.stop();
    await group.stop();
    await watch.stop();
    await publisher.close();
    await admin.close();
  }
}

/** Publishes in small batches until it is stopped; now and then a version before the one that comes first, and poison. */
class Load {
  readonly #publisher: Publisher;
  readonly #topic: string;
  readonly #versions = new Map<string, number>();
  readonly #running: Promise<void>;
  #poison = 0;
  #stopped = false;

  constructor(publisher: Publisher, topic: string) {
    this.#publisher = publisher;
    this.#topic = topic;
    this.#running = this.#run();
  }

  async stop(): Promise<Published> {
    this.#stopped = true;
    await this.#running;
    return { versions: this.#versions, poison: this.#poison };
  }

  async #run(): Promise<void> {
    for (let turn = 0; !this.#stopped; turn++) {
      const messages: OutgoingMessage[] = [];
      for (let each = 0; each < 12; each++) {
        const id = String(1 + ((turn * 7 + each) % aggregates));
        messages.push(this.#next(id), this.#next(id));
      }
      if (turn % 20 === 0) {
        this.#poison++;
        messages.push({
          topic: this.#topic,
          partition: turn % partitions,
          key: Buffer.from('1'),
          value: Buffer.from('{'),
        });
      }
      const { failed } = await this.#publisher.publish(messages);
      if (failed[0]) throw failed[0].error;
      await pause(60);
    }
  }

  #next(id: string): OutgoingMessage {
    const version = (this.#versions.get(id) ?? 0) + 1;
    this.#versions.set(id, version);
    const event = testEvent(id, version);
    const key = Buffer.from(id);
    const value = Buffer.from(JSON.stringify(event.payload));
    return { topic: this.#topic, partition: partitionOf(key, partitions), key, value, headers: headersOf(event) };
  }
}

/** Takes a committed offset and then, in one snapshot, what was settled before it. */
class Watch {
  readonly #samples: Sample[] = [];
  readonly #running: Promise<void>;
  #stopped = false;

  constructor(admin: Admin, url: string, group: string) {
    this.#running = this.#run(admin, url, group);
  }

  async stop(): Promise<Sample[]> {
    this.#stopped = true;
    await this.#running;
    return this.#samples;
  }

  async #run(admin: Admin, url: string, group: string): Promise<void> {
    while (!this.#stopped) {
      try {
        for (const { partition, offset } of await admin.committed(group, group)) {
          if (offset === null) continue;
          const committed = Number(offset);
          const [row] = await query(url, settledBelow, Array.from({ length: 3 }, () => [partition, committed]).flat());
          this.#samples.push({ partition, committed, settled: Number(row!.settled) });
        }
      } catch {
        // While MySQL or the coordinator is away nobody can tell.
      }
      await pause(200);
    }
  }
}

async function query(url: string, sql: string, values: unknown[] = []): Promise<RowDataPacket[]> {
  const connection: Connection = await mysql.createConnection(url);
  try {
    const [rows] = await connection.query<RowDataPacket[]>(sql, values);
    return rows;
  } finally {
    connection.destroy();
  }
}

import { createPlatformaticPort } from '../../kafka/platformatic/platformatic-port.ts';
import { openPool } from '../database/pool.ts';
import { createInbox } from '../inbox.ts';
import { mysqlStore } from '../store/mysql.ts';
import { testCatalogue } from '../testing/events.ts';
import type { InboxMode } from '../types.ts';

/**
 * A consumer as a process of its own, so that it can be stopped and killed. It writes each event into `effects`, slowly enough to be
 * hit in the middle. Ends by SIGTERM, or when its parent is gone.
 */
export interface MemberOptions {
  brokers: readonly string[];
  url: string;
  topic: string;
  group: string;
  mode: InboxMode;
}

const { brokers, url, topic, group, mode } = JSON.parse(process.argv[2]!) as MemberOptions;
const insertEffects = 'INSERT INTO effects (kafka_partition, kafka_offset, aggregate_id, version) VALUES ?';
const log = (...args: unknown[]) => console.error(`member ${process.pid}:`, ...args);

const inbox = createInbox({
  group,
  groupId: group,
  mode,
  topics: [topic],
  catalogue: testCatalogue,
  handlers: {
    '*': {
      async handleBatch(tx, events) {
        const rows = events.map((event) => [event.partition, event.offset, event.aggregateId, event.version]);
        await tx.write(insertEffects, [rows]);
        await tx.query('SELECT SLEEP(0.01)');
      },
    },
  },
  store: mysqlStore({ database: openPool({ url, connections: 4 }), consumer: group, mode }),
  kafka: createPlatformaticPort({ brokers, clientId: `storm-${process.pid}` }),
  logger: process.env.STORM_LOG ? { debug: () => {}, info: log, warn: log, error: log } : undefined,
  batchSize: 20,
  sessionTimeoutMs: 6000,
  heartbeatIntervalMs: 2000,
  maxWaitMs: 100,
  gapPollMs: 500,
});

let ending = false;
async function end(): Promise<void> {
  if (ending) return;
  ending = true;
  await inbox.stop();
  process.exit(0);
}
process.on('SIGTERM', end);
process.stdin.on('end', end).resume();
await inbox.start();

import { openPool } from '../../inbox/database/pool.ts';
import { createInbox } from '../../inbox/inbox.ts';
import { noMetrics } from '../../inbox/metrics.ts';
import { mysqlStore } from '../../inbox/store/mysql.ts';
import { createKafkajsPort } from '../../kafka/kafkajs/index.ts';
import { createPlatformaticPort } from '../../kafka/platformatic/platformatic-port.ts';
import type { KafkaPort } from '../../kafka/port.ts';
import type { InboxRun, InboxSettings } from './inbox-child.ts';
import { catalogue, consumerName, projectionRows, writeProjection } from './rows.ts';

// An inbox alone in a process. It says what it took, and ends, when all is applied.

const { url, brokers, topic, doneAfter, concurrency, client } = JSON.parse(process.argv[2]!) as InboxSettings;
const connect = client === 'platformatic' ? createPlatformaticPort : createKafkajsPort;
const kafka: KafkaPort = connect({ brokers, clientId: 'bench-inbox' });
let startedMs: number | null = null;
let cpuBefore = process.cpuUsage();
let applied = 0;

const inbox = createInbox({
  group: consumerName,
  groupId: new URL(url).pathname.slice(1),
  mode: 'state',
  topics: [topic],
  catalogue,
  handlers: {
    ArticleLiked: { handleBatch: (tx, events) => tx.write(writeProjection, [projectionRows(events)]) },
  },
  store: mysqlStore({
    database: openPool({ url, connections: concurrency + 1 }),
    consumer: consumerName,
    mode: 'state',
  }),
  kafka: { ...kafka, consumer: timed },
  concurrency,
  metrics: {
    ...noMetrics,
    count(name, by) {
      if (name !== 'inbox.events.applied.total') return;
      applied += by;
      if (applied === doneAfter) void end();
    },
  },
  logger: { debug: () => {}, info: () => {}, warn: console.error, error: console.error },
});

process.on('disconnect', () => process.exit());
await inbox.start();

/** Notes when the first batch is handed over: until then the group is being joined. */
function timed(options: Parameters<KafkaPort['consumer']>[0]) {
  return kafka.consumer({
    ...options,
    onBatch(batch, context) {
      if (startedMs === null) {
        startedMs = performance.now();
        cpuBefore = process.cpuUsage();
      }
      return options.onBatch(batch, context);
    },
  });
}

async function end(): Promise<void> {
  const tookMs = performance.now() - startedMs!;
  const { user, system } = process.cpuUsage(cpuBefore);
  const run: InboxRun = { tookMs, cpuMs: (user + system) / 1000, maxRssMb: process.resourceUsage().maxRSS / 1024 };
  await inbox.stop();
  process.send!(run, () => process.exit());
}

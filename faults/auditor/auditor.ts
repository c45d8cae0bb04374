import { appendFileSync } from 'node:fs';
import { sqlTime } from '../../database/sql-time.ts';
import { boardEvents, boardSources } from '../../events/board.ts';
import { openPool } from '../../inbox/database/pool.ts';
import { createInbox } from '../../inbox/inbox.ts';
import { mysqlStore } from '../../inbox/store/mysql.ts';
import type { InboxHandler } from '../../inbox/types.ts';
import { createPlatformaticPort } from '../../kafka/platformatic/platformatic-port.ts';
import { auditorGroup } from './group.ts';
import { addToTotal, insertEffects } from './tables.ts';

// A process of the auditor: the inbox in `sequence` mode over all topics, where each event has exactly one effect, in order,
// or it shows. The board's own consumer lets newer state win, and so could hide a loss.

const [mysqlUrl, truth, brokers, name, historyFile] = process.argv.slice(2) as [string, string, string, string, string];

const note = (happening: object) =>
  appendFileSync(historyFile, `${JSON.stringify({ atMs: Date.now(), process: name, ...happening })}\n`);

const audit: InboxHandler = {
  async handleBatch(tx, events) {
    const at = sqlTime(Date.now());
    const effects = events.map((event) => [
      name,
      at,
      'auditor',
      event.source,
      Buffer.from(event.eventId.replaceAll('-', ''), 'hex'),
      event.aggregateId,
      String(event.version),
    ]);
    await tx.write(insertEffects(truth), [effects]);
    const totals = events.map((event) => [
      event.source,
      event.aggregateId,
      String(event.version),
      1,
      String(event.version),
    ]);
    await tx.write(addToTotal, [totals.sort((a, b) => (`${a[0]} ${a[1]}` < `${b[0]} ${b[1]}` ? -1 : 1))]);
  },
};

const say = (...words: unknown[]) => console.log(...words);
const logger = { debug() {}, info: say, warn: say, error: say };
const kafka = createPlatformaticPort({ brokers: brokers.split(','), clientId: name, logger });
const database = openPool({ url: mysqlUrl, connections: 5 });
const inbox = createInbox({
  group: 'auditor',
  groupId: auditorGroup,
  mode: 'sequence',
  topics: boardSources.map((source) => `hotboard.${source}`),
  catalogue: boardEvents,
  handlers: { '*': audit },
  store: mysqlStore({ database, consumer: 'auditor', mode: 'sequence' }),
  kafka: {
    admin: () => kafka.admin(),
    consumer: (options) =>
      kafka.consumer({
        ...options,
        async onBatch(batch, context) {
          const { topic, partition, messages } = batch;
          const [first, last] = [messages[0], messages.at(-1)];
          if (first && last) {
            const range = { from: Number(first.offset), to: Number(last.offset) };
            note({ kind: 'consumer', op: 'receive', topic, partition, ...range });
          }
          return options.onBatch(batch, context);
        },
      }),
  },
  sessionTimeoutMs: 10_000,
  lagPollMs: 10_000,
  logger,
});

let stopping = false;
const stop = async () => {
  if (stopping) return;
  stopping = true;
  await inbox.stop();
  await database.close();
  process.exit(0);
};
process.on('SIGTERM', stop);
process.on('disconnect', stop);

await inbox.start();
process.send?.({ type: 'ready', httpPort: null, opsPort: 0 });

import { QueryTypes, Transaction } from 'sequelize';
import { systemClock } from '../../../clock/clock.ts';
import { commentCreated, openProducer } from '../../../outbox/testing/fixture.ts';
import { noMetrics } from '../../metrics.ts';
import { Janitor, type JanitorOptions } from '../janitor.ts';
import { openMysqlPartitions } from '../mysql-partitions.ts';
import { dayAfter, type RetentionSettings } from '../plan.ts';

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const columns =
  'id, day, event_id, aggregate_type, aggregate_id, version, event_type, schema_version, payload, headers, created_at';
const digit = Array.from({ length: 10 }, (_, n) => `SELECT ${n} AS d`).join(' UNION ALL ');
/** 0 to 99,999. */
const numbers = {
  count: 100_000,
  sql: `SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d AS n FROM ${['a', 'b', 'c', 'e', 'f'].map((name) => `(${digit}) ${name}`).join(', ')}`,
};

/** An outbox that has been in use for days: real writers, partitions of old days, and the janitor that looks after them. */
export async function openAgedOutbox() {
  const producer = await openProducer();
  const { direct, outbox } = producer;
  const select = <Row extends object>(sql: string) => direct.query<Row>(sql, { type: QueryTypes.SELECT });
  const [{ today }] = (await select<{ today: string }>('SELECT UTC_DATE() AS today')) as [{ today: string }];
  const nameOf = (day: string) => `p${day.replaceAll('-', '')}`;
  let nextId = 1;

  const partitions = async () =>
    (
      await select<{ name: string }>(
        `SELECT partition_name AS name FROM information_schema.partitions WHERE table_schema = DATABASE() AND
         table_name = 'outbox' ORDER BY partition_ordinal_position`,
      )
    ).map(({ name }) => name);

  return {
    ...producer,
    today,
    partitions,
    dayAgo: (days: number) => dayAfter(today, -days),
    nameOf,
    select,
    /** Partitions of their own for so many days before today. */
    async giveOldDays(days: number): Promise<void> {
      const old = Array.from({ length: days }, (_, index) => dayAfter(today, index - days));
      const lines = [...old, today].map((day) => `PARTITION ${nameOf(day)} VALUES LESS THAN ('${dayAfter(day, 1)}')`);
      await direct.query(`ALTER TABLE outbox REORGANIZE PARTITION ${nameOf(today)} INTO (${lines.join(', ')})`);
    },
    /** Sent events of a day, of about 600 bytes each. */
    async fill(day: string, rows: number): Promise<void> {
      const base = nextId;
      nextId += rows;
      for (let done = 0; done < rows; done += numbers.count) {
        await direct.query(
          `INSERT INTO outbox (${columns})
           SELECT ${base + done} + n, '${day}', REPEAT('e', 16), 'article', CONCAT('a', n MOD 5000), ${done} + n + 1,
             'CommentCreated', 1, REPEAT('p', 600), NULL, NOW(6)
           FROM (${numbers.sql}) AS numbers WHERE n < ${rows - done}`,
        );
      }
    },
    /** Marks one event of a day as not sent. State 0: pending, 1: blocked, 2: dead. */
    async unsent(day: string, state: number): Promise<void> {
      const [{ id }] = (await select<{ id: string }>(`SELECT MIN(id) AS id FROM outbox WHERE day = '${day}'`)) as [
        { id: string },
      ];
      await direct.query(
        `INSERT INTO outbox_pending (id, bucket, state, key_hash, version, day) VALUES (${id}, 1, ${state}, 5, 1, '${day}')`,
      );
    },
    async write(articleId: string): Promise<void> {
      await outbox.transaction((tx) =>
        tx.publish('CommentCreated', articleId, () => commentCreated({ id: '1', articleId }, 1)),
      );
    },
    janitor(settings: Partial<RetentionSettings> = {}, options: Partial<JanitorOptions> = {}): Janitor {
      return new Janitor({
        source: 'comment',
        open: () => openMysqlPartitions({ url: producer.url, clock: systemClock }),
        settings: { days: 3, auditDays: 400, aheadDays: 7, maxOverflowRows: 5_000, ...settings },
        mayAct: () => true,
        clock: systemClock,
        log: silent,
        metrics: noMetrics,
        ...options,
      });
    },
  };
}

export type AgedOutbox = Awaited<ReturnType<typeof openAgedOutbox>>;

/** One write: when it began and ended, by `performance.now()`. */
export interface Write {
  startMs: number;
  endMs: number;
}

/** Some writers that pause shortly after each transaction. */
export function startWriters(outbox: AgedOutbox, count: number) {
  const writes: Write[] = [];
  let stopping = false;
  const writers = Array.from({ length: count }, async (_, writer) => {
    for (let n = 0; !stopping; n++) {
      const startMs = performance.now();
      await outbox.write(String(1000 * (writer + 1) + (n % 50)));
      writes.push({ startMs, endMs: performance.now() });
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  return {
    /** Writes that ended since the last call. */
    take: () => writes.splice(0),
    async stop(): Promise<void> {
      stopping = true;
      await Promise.all(writers);
    },
  };
}

/** How long each took, in ms. */
export const tookMs = (writes: readonly Write[]) => writes.map(({ startMs, endMs }) => endMs - startMs);

/** A transaction that has read all of a table and does not end. */
export async function startReader(outbox: AgedOutbox, table: 'outbox' | 'outbox_pending' = 'outbox') {
  const transaction = await outbox.direct.transaction({ isolationLevel: Transaction.ISOLATION_LEVELS.REPEATABLE_READ });
  // Our own sessions are ended after 15 s of silence: this one is somebody else's.
  await outbox.direct.query('SET SESSION wait_timeout = 600', { transaction });
  await outbox.direct.query(`SELECT COUNT(*) FROM ${table}`, { transaction });
  return { end: () => transaction.rollback() };
}

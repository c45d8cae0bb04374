import type { Transaction } from 'sequelize';
import { endedBySomebody } from './errors.ts';

/**
 * The next `n` versions of an aggregate in one statement; the last of them is the statement's insert id. Locks the line
 * until the transaction ends. Parameters: type, id, n, n.
 */
export const takeVersions = `
INSERT INTO outbox_stream (aggregate_type, aggregate_id, version) VALUES (?, ?, LAST_INSERT_ID(CAST(? AS UNSIGNED)))
ON DUPLICATE KEY UPDATE version = LAST_INSERT_ID(version + CAST(? AS UNSIGNED))`;

/** The insert id is the event's id. The day is the database's, so that both rows of an event have the same. */
export const insertPending = `
INSERT INTO outbox_pending (bucket, key_hash, version, day) VALUES (?, ?, ?, UTC_DATE())`;
export const insertPendingRows = (rows: number) =>
  `INSERT INTO outbox_pending (bucket, key_hash, version, day) VALUES ${Array(rows).fill('(?, ?, ?, UTC_DATE())').join(', ')}`;

/** Whether the ids of a statement with several rows are one apart. Not so on some clusters. */
export const readIncrement = 'SELECT @@auto_increment_increment AS step';

const outboxRow = '(?, (SELECT day FROM outbox_pending WHERE id = ?), UNHEX(?), ?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(6))';
/** Parameters of each row: id, id, event id in hex, type, id, version, event type, schema version, payload, headers. */
export const insertOutbox = (rows: number) => `
INSERT INTO outbox (id, day, event_id, aggregate_type, aggregate_id, version, event_type, schema_version, payload,
  headers, created_at) VALUES ${Array(rows).fill(outboxRow).join(', ')}`;

export const insertOutboxRow = insertOutbox(1);

export const readMeta = 'SELECT incarnation, buckets FROM outbox_meta WHERE id = 1';

/** Dead rows (state 2) wait for an operator and are no lag. The id grows with time. */
export const readLag = `
SELECT TIMESTAMPDIFF(MICROSECOND, o.created_at, UTC_TIMESTAMP(6)) DIV 1000 AS ageMs
FROM outbox_pending p JOIN outbox o ON o.id = p.id AND o.day = p.day
WHERE p.state < 2 ORDER BY p.id LIMIT 1`;

/** A version of an aggregate, and the state of its row where it is not sent. */
export const readVersion = `
SELECT o.event_id, o.event_type, o.schema_version, o.payload, o.headers, CAST(o.created_at AS CHAR) AS created, p.state
FROM outbox o LEFT JOIN outbox_pending p ON p.id = o.id
WHERE o.aggregate_type = ? AND o.aggregate_id = ? AND o.version = CAST(? AS UNSIGNED)`;

/** The driver's answer to a statement that gives no rows. */
export interface StatementResult {
  insertId: number | string;
  affectedRows: number;
}

interface RawConnection {
  execute(sql: string, values: readonly unknown[], callback: (error: unknown, result: unknown) => void): unknown;
  query(sql: string, values: readonly unknown[], callback: (error: unknown, result: unknown) => void): unknown;
}

/**
 * Runs a statement on a transaction's own connection, past Sequelize: the hot path of every write. `prepare` keeps the
 * statement on the server; not for texts of changing length, and not where a value is a list.
 */
export function runStatement<Result = StatementResult>(
  transaction: Transaction,
  sql: string,
  values: readonly unknown[],
  prepare = !values.some(Array.isArray),
): Promise<Result> {
  const { connection, finished } = transaction as unknown as { connection: RawConnection; finished?: string };
  // Its connection is back in the pool by now: the statement would commit by itself.
  if (finished) return Promise.reject(endedBySomebody());
  return new Promise((resolve, reject) => {
    const done = (error: unknown, result: unknown) => (error ? reject(error) : resolve(result as Result));
    if (prepare) connection.execute(sql, values, done);
    else connection.query(sql, values, done);
  });
}

import mysql, { type Pool, type RowDataPacket } from 'mysql2/promise';
import { databaseName, databaseUrl } from '../../config/database-url.ts';
import type { Config } from '../../config/load.ts';
import { sqlTime } from '../../database/sql-time.ts';
import { boardSources } from '../../events/board.ts';
import { quantile } from '../figures/series.ts';
import { type Databases, triggers, truthTables } from './tables.ts';

/** The harness's own way to MySQL, past every proxy, and what it wants to know while the board runs. */
export class Truth {
  readonly databases: Databases;
  readonly #pool: Pool;
  #doneSeq = '0';

  private constructor(pool: Pool, databases: Databases) {
    this.#pool = pool;
    this.databases = databases;
  }

  /** Makes the tables and triggers. The board's and the auditor's databases are migrated already. */
  static async install(config: Config, auditor: string): Promise<Truth> {
    const databases: Databases = {
      truth: databaseName(config, 'truth'),
      of: (service) => databaseName(config, service),
      auditor,
    };
    const pool = mysql.createPool({
      uri: new URL('/mysql', databaseUrl(config, 'truth')).href,
      connectionLimit: 3,
      supportBigNumbers: true,
      bigNumberStrings: true,
      dateStrings: true,
      timezone: 'Z',
    });
    const truth = new Truth(pool, databases);
    await truth.rows(`CREATE DATABASE ${databases.truth} CHARACTER SET utf8mb4`);
    const connection = await pool.getConnection();
    try {
      await connection.query(`USE ${databases.truth}`);
      for (const sql of truthTables) await connection.query(sql);
      for (const { database, sql } of triggers(databases)) {
        await connection.query(`USE ${database}`);
        await connection.query(sql);
      }
    } finally {
      connection.destroy();
    }
    return truth;
  }

  /** An account for one node, so that rows say who wrote them. */
  async addAccount(name: string, password: string): Promise<void> {
    await this.rows(`CREATE USER '${name}'@'%' IDENTIFIED BY '${password}'`);
    await this.rows(`GRANT ALL PRIVILEGES ON *.* TO '${name}'@'%'`);
  }

  async rows<Row = Record<string, unknown>>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    // a connection that a killed server left behind fails once
    try {
      return (await this.#pool.query<RowDataPacket[]>(sql, [...values]))[0] as Row[];
    } catch (error) {
      if ((error as { fatal?: boolean }).fatal !== true) throw error;
      return (await this.#pool.query<RowDataPacket[]>(sql, [...values]))[0] as Row[];
    }
  }

  table(name: string): string {
    return `${this.databases.truth}.${name}`;
  }

  /** Buckets by owner, as the leases say now. */
  async leases(): Promise<{ source: string; bucket: number; owner: string | null; epoch: number; live: boolean }[]> {
    const parts = boardSources.map(
      (source) =>
        `SELECT '${source}' AS source, bucket, owner, epoch, expires_at > UTC_TIMESTAMP(6) AS live
         FROM ${this.databases.of(source)}.outbox_lease`,
    );
    const rows = await this.rows<Record<string, string | number | null>>(parts.join(' UNION ALL '));
    return rows.map(({ source, bucket, owner, epoch, live }) => ({
      source: String(source),
      bucket: Number(bucket),
      owner: owner === null ? null : String(owner),
      epoch: Number(epoch),
      live: Number(live) === 1,
    }));
  }

  /** The node that took each bucket last, of those that are still held. */
  async holders(): Promise<Map<string, string>> {
    const live = await this.leases();
    const taken = await this.rows<{ source: string; bucket: number; epoch: string; process: string }>(
      `SELECT source, bucket, epoch, process FROM ${this.table('lease')} WHERE owner IS NOT NULL`,
    );
    const processes = new Map(taken.map((row) => [`${row.source}.${row.bucket} ${row.epoch}`, row.process]));
    const holders = new Map<string, string>();
    for (const { source, bucket, owner, epoch, live: isLive } of live) {
      const process = processes.get(`${source}.${bucket} ${epoch}`);
      if (owner !== null && isLive && process !== undefined) holders.set(`${source}.${bucket}`, process);
    }
    return holders;
  }

  /** Whether there are events that were committed more than `ageMs` ago and are not yet done with by both consumers. */
  async isBehind(ageMs: number): Promise<boolean> {
    // only as far as the first that is not done with
    const [row] = await this.rows<{ seq: string }>(
      `SELECT l.seq FROM ${this.table('ledger')} l
       WHERE l.seq > ? AND l.at < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND AND (
         SELECT COUNT(DISTINCT c.consumer) FROM ${this.table('consumed')} c
         WHERE c.event_id = l.event_id AND c.kind = 'recorded') < 2
       ORDER BY l.seq LIMIT 1`,
      [this.#doneSeq, ageMs * 1000],
    );
    // some numbers below it may belong to transactions that commit later: those are seen at the end
    if (row !== undefined) this.#doneSeq = String(BigInt(row.seq) - 1n);
    else this.#doneSeq = (await this.#newest(ageMs)) ?? this.#doneSeq;
    return row !== undefined;
  }

  async #newest(ageMs: number): Promise<string | null> {
    const [row] = await this.rows<{ seq: string | null }>(
      `SELECT MAX(seq) AS seq FROM ${this.table('ledger')}
       WHERE seq > ? AND at < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND`,
      [this.#doneSeq, (ageMs + 5_000) * 1000],
    );
    return row!.seq;
  }

  /** How long events since then took from their commit until both consumers had applied them: of a share, at most. */
  async delayMs(share: number, sinceMs: number): Promise<number> {
    const rows = await this.rows<{ ms: string }>(
      `SELECT TIMESTAMPDIFF(MICROSECOND, l.at, MAX(c.at)) / 1000 AS ms FROM ${this.table('ledger')} l
       JOIN ${this.table('consumed')} c ON c.event_id = l.event_id AND c.kind = 'recorded'
       WHERE l.at >= ? GROUP BY l.seq, l.at`,
      [sqlTime(sinceMs)],
    );
    return quantile(
      rows.map(({ ms }) => Number(ms)),
      share,
    );
  }

  /** How long events since then took from their commit until their rows were deleted, as sent: of a share, at most. */
  async sendingMs(share: number, sinceMs: number): Promise<number> {
    const rows = await this.rows<{ ms: string }>(
      `SELECT TIMESTAMPDIFF(MICROSECOND, l.at, m.at) / 1000 AS ms FROM ${this.table('ledger')} l
       JOIN ${this.table('mark')} m ON m.source = l.source AND m.outbox_id = l.outbox_id
       WHERE l.at >= ?`,
      [sqlTime(sinceMs)],
    );
    return quantile(
      rows.map(({ ms }) => Number(ms)),
      share,
    );
  }

  /** Whether there are rows that have waited to be sent for longer. */
  async isUnsentFor(ageMs: number): Promise<boolean> {
    const parts = boardSources.map((source) => {
      const database = this.databases.of(source);
      return `SELECT COUNT(*) AS n FROM ${database}.outbox_pending p JOIN ${database}.outbox o ON o.id = p.id AND o.day = p.day
        WHERE o.created_at < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND`;
    });
    const rows = await this.rows<{ n: string }>(
      parts.join(' UNION ALL '),
      parts.map(() => ageMs * 1000),
    );
    return rows.some(({ n }) => Number(n) > 0);
  }

  /** Rows that wait to be sent. */
  async unsent(): Promise<number> {
    const parts = boardSources.map((source) => `SELECT COUNT(*) AS n FROM ${this.databases.of(source)}.outbox_pending`);
    const rows = await this.rows<{ n: string }>(parts.join(' UNION ALL '));
    return rows.reduce((sum, { n }) => sum + Number(n), 0);
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

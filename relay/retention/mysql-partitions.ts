import mysql, { type Connection } from 'mysql2/promise';
import { type Clock, pause, within } from '../../clock/clock.ts';
import { SourceError, toSourceError } from '../sources/errors.ts';
import type { Layout, Partition } from './plan.ts';
import * as sql from './statements.ts';
import type { Outcome, PartitionStore } from './store.ts';

export interface MysqlPartitionsOptions {
  /** `mysql://user:password@host:port/database` */
  url: string;
  clock: Clock;
  /**
   * A change of the table waits for transactions that use it, and all writers wait behind it. After so long it gives way.
   * Default 100.
   */
  longestWaitMs?: number;
}

/** Longest wait for the answer to a statement that changes no table. */
const statementTimeoutMs = 10_000;
const lookEveryMs = 25;

/** One visit of the janitor to a source in MySQL 8.4 or MariaDB: two connections, until `close`. Throws `SourceError`. */
export async function openMysqlPartitions(options: MysqlPartitionsOptions): Promise<PartitionStore> {
  const connections: Connection[] = [];
  try {
    for (let i = 0; i < 2; i++) connections.push(await connect(options.url));
    return new MysqlPartitions(options, connections[0]!, connections[1]!);
  } catch (error) {
    for (const connection of connections) connection.destroy();
    throw toSourceError(error, 'connecting for the partitions');
  }
}

async function connect(uri: string): Promise<Connection> {
  const connection = await mysql.createConnection({ uri, connectTimeout: 3_000, dateStrings: true, timezone: 'Z' });
  connection.on('error', () => {}); // the statement in flight gets it
  for (const statement of [sql.patience, sql.isolation]) await connection.query(statement);
  return connection;
}

class MysqlPartitions implements PartitionStore {
  readonly #clock: Clock;
  readonly #longestWaitMs: number;
  /** Changes the table. */
  readonly #worker: Connection;
  /** Reads, and watches the other. */
  readonly #watcher: Connection;

  constructor({ clock, longestWaitMs = 100 }: MysqlPartitionsOptions, worker: Connection, watcher: Connection) {
    this.#clock = clock;
    this.#longestWaitMs = longestWaitMs;
    this.#worker = worker;
    this.#watcher = watcher;
  }

  async readLayout(countUpTo: number): Promise<Layout> {
    const [{ today }] = (await this.#rows<{ today: string }>('reading the date', sql.readToday)) as [{ today: string }];
    const rows = await this.#rows<{ name: string; bound: string }>('reading the partitions', sql.readPartitions);
    const partitions = rows.map(partitionOf);
    const last = partitions.at(-1);
    if (last?.before !== null) {
      throw new SourceError('SOURCE_NOT_MIGRATED', 'the table outbox has no partition for all later days');
    }
    const counting = sql.countRows(checked(last.name));
    const [counted] = await this.#rows<{ counted: number }>('counting overflow', counting, [countUpTo]);
    return { today, partitions, overflowRows: Number(counted!.counted) };
  }

  async readUnsentDays(before: string): Promise<string[]> {
    const rows = await this.#rows<{ day: string }>('reading the days of unsent rows', sql.readUnsentDays, [before]);
    return rows.map(({ day }) => day);
  }

  split(last: string, { name, before }: { name: string; before: string }): Promise<Outcome> {
    return this.#alter(`splitting off ${name}`, sql.splitOff(checked(last), checked(name), day(before)));
  }

  async drop(name: string): Promise<Outcome> {
    const doing = `dropping ${checked(name)}`;
    const [table] = await this.#rows<{ 'Create Table': string }>(doing, sql.showOutbox);
    const create = sql.createExpired(table!['Create Table']);
    if (create === null)
      throw new SourceError('SOURCE_UNEXPECTED', `${doing}: what SHOW CREATE TABLE outbox says is unknown`);
    for (const statement of [sql.dropExpired, create]) await this.#work(doing, statement);
    const exchanged = await this.#alter(doing, sql.exchangeExpired(name));
    // Where it is busy now, the next visit finds the partition empty, and does the rest.
    const outcome = exchanged === 'done' ? await this.#alter(doing, sql.dropEmpty(name)) : exchanged;
    await this.#work(doing, sql.dropExpired);
    return outcome;
  }

  async trim(last: string, before: string): Promise<number> {
    const result = await this.#work('trimming overflow', sql.trimRows(checked(last)), [before]);
    return (result as { affectedRows: number }).affectedRows;
  }

  async trimAudit(days: number): Promise<number> {
    const doing = 'trimming outbox_audit';
    const [last] = await this.#rows<{ id: string | null }>(doing, sql.lastOldAudit, [days]);
    if (!last?.id) return 0;
    const result = await this.#work(doing, sql.deleteOldAudit, [last.id, days]);
    return (result as { affectedRows: number }).affectedRows;
  }

  async forgetMembers(): Promise<void> {
    await this.#work('forgetting members', sql.forgetMembers);
  }

  async close(): Promise<void> {
    const ended = Promise.allSettled([this.#worker.end(), this.#watcher.end()]);
    if (!(await within(this.#clock, 1_000, ended))) for (const c of [this.#worker, this.#watcher]) c.destroy();
  }

  /** A change of the table `outbox` that writers never wait behind for long. */
  async #alter(doing: string, statement: string): Promise<Outcome> {
    const [{ id }] = (await this.#worker.query(sql.whoAmI))[0] as [{ id: number }];
    let running = true;
    const altering = this.#worker.query(statement).finally(() => {
      running = false;
    });
    altering.catch(() => undefined);
    await within(this.#clock, this.#longestWaitMs, altering).catch(() => undefined);
    while (running) {
      if (await this.#waitsForLock(id)) await this.#watcher.query(sql.killQuery(id)).catch(() => undefined);
      await within(this.#clock, lookEveryMs, altering).catch(() => undefined);
    }
    try {
      await altering;
      return 'done';
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === 'ER_QUERY_INTERRUPTED' || code === 'ER_LOCK_WAIT_TIMEOUT') return 'busy';
      throw toSourceError(error, doing);
    }
  }

  /** Only a statement that has not begun to change anything is ended. */
  async #waitsForLock(id: number): Promise<boolean> {
    try {
      const [rows] = await this.#watcher.query({ sql: sql.processes, timeout: statementTimeoutMs });
      const found = (rows as { Id: number; State: string | null }[]).find((row) => Number(row.Id) === Number(id));
      return /metadata lock/i.test(found?.State ?? '');
    } catch {
      await pause(this.#clock, lookEveryMs); // the server's own limit of a second ends the wait
      return false;
    }
  }

  async #rows<Row>(doing: string, statement: string, values: readonly unknown[] = []): Promise<Row[]> {
    try {
      const [rows] = await this.#watcher.query({ sql: statement, values: [...values], timeout: statementTimeoutMs });
      return rows as Row[];
    } catch (error) {
      throw toSourceError(error, doing);
    }
  }

  async #work(doing: string, statement: string, values: readonly unknown[] = []): Promise<unknown> {
    try {
      return (await this.#worker.query(statement, [...values]))[0];
    } catch (error) {
      throw toSourceError(error, doing);
    }
  }
}

function partitionOf({ name, bound }: { name: string; bound: string }): Partition {
  const before = /^'(\d{4}-\d\d-\d\d)'$/.exec(bound)?.[1];
  if (before === undefined && bound !== 'MAXVALUE') {
    throw new SourceError('SOURCE_UNEXPECTED', `partition ${name} of outbox is bounded by ${bound}, which is no day`);
  }
  return { name, before: before ?? null };
}

function checked(name: string): string {
  if (!/^[A-Za-z0-9_]{1,64}$/.test(name)) throw new TypeError(`not a partition's name: ${JSON.stringify(name)}`);
  return name;
}

function day(text: string): string {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) throw new TypeError(`not a day: ${JSON.stringify(text)}`);
  return text;
}

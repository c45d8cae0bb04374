import sequelizePackage, { type Options, type Sequelize } from 'sequelize';

export interface ConnectionOptions {
  /** `mysql://user:password@host:port/database` */
  url: string;
  /** Connections at most. Default 10. */
  poolSize?: number;
  /** How long a caller waits for a free connection. Default 30,000. */
  acquireMs?: number;
}

/**
 * The server ends a session that is silent for so long, and frees its row locks: a process that was stopped in the middle of
 * a transaction does not hold up others. Idle connections leave the pool well before (`idleMs` and one `evictMs`), so
 * that nobody is handed one that the server has just closed.
 */
export const sessionWaitTimeoutS = 15;
const idleMs = 5000;
const evictMs = 1000;
const lockWaitTimeoutS = 5;

const setSession = `SET SESSION time_zone = '+00:00', wait_timeout = ${sessionWaitTimeoutS},
  innodb_lock_wait_timeout = ${lockWaitTimeoutS}, sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'`;
const setIsolation = 'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED';

interface RawConnection {
  query(sql: string, callback: (error: unknown) => void): unknown;
}

/**
 * A Sequelize for one database, not yet connected. Every session: READ COMMITTED, UTC, strict (a value that does not fit is an
 * error, never cut). BIGINT comes as a string, also the id of a row just created; DATETIME as a `Date` in UTC, DATE as
 * `YYYY-MM-DD`. `bulkCreate` on a model whose BIGINT ids the server gives needs `individualHooks`. No logging.
 */
export function openSequelize(options: ConnectionOptions): Sequelize {
  const { Sequelize: Constructor } = sequelizePackage;
  const settings: Options & { keepDefaultTimezone: boolean } = {
    dialect: 'mysql',
    logging: false,
    timezone: '+00:00',
    keepDefaultTimezone: true, // set below, with the rest
    pool: { max: options.poolSize ?? 10, min: 0, idle: idleMs, evict: evictMs, acquire: options.acquireMs ?? 30_000 },
    dialectOptions: { supportBigNumbers: true, bigNumberStrings: true, charset: 'utf8mb4', connectTimeout: 5000 },
    define: { timestamps: false, freezeTableName: true },
  };
  const sequelize = new Constructor(options.url, settings);
  sequelize.addHook('afterConnect', async (connection: unknown) => {
    for (const sql of [setSession, setIsolation]) await run(connection as RawConnection, sql);
  });
  sequelize.addHook('beforeBulkCreate', 'ids of several rows', (_rows: unknown, options: unknown) => {
    const { model, individualHooks } = options as BulkCreateOptions;
    if (individualHooks || !bigAutoIncrement(model)) return;
    // Sequelize counts from the first id to the last: as text above 2^53 that never ends, and on clusters it is wrong.
    throw new Error(`${model.name}.bulkCreate would not learn the rows' ids: add { individualHooks: true }.`);
  });
  sequelize.addHook('afterCreate', 'ids are strings', (row: unknown) => {
    const { dataValues } = row as { dataValues: Record<string, unknown> };
    const id = bigAutoIncrement((row as object).constructor as unknown as SequelizeModel);
    if (id && typeof dataValues[id] === 'number') dataValues[id] = String(dataValues[id]);
  });
  return sequelize;
}

interface SequelizeModel {
  name: string;
  autoIncrementAttribute: string | null;
  rawAttributes: Record<string, { type: { key?: string } }>;
}

interface BulkCreateOptions {
  model: SequelizeModel;
  individualHooks?: boolean;
}

/** The attribute that the server numbers, where it is a BIGINT. */
function bigAutoIncrement({ autoIncrementAttribute: name, rawAttributes }: SequelizeModel): string | null {
  return name && rawAttributes[name]?.type.key === 'BIGINT' ? name : null;
}

function run(connection: RawConnection, sql: string): Promise<void> {
  return new Promise((resolve, reject) => {
    connection.query(sql, (error) => (error ? reject(error) : resolve()));
  });
}

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import mysql from 'mysql2';
import { DataTypes, type Model, type ModelStatic, QueryTypes, type Sequelize } from 'sequelize';
import { freshDatabase } from '../testing/servers.ts';
import { openSequelize } from './connect.ts';

let database: Awaited<ReturnType<typeof freshDatabase>>;
let sequelize: Sequelize;
let Thing: ModelStatic<Model & { id: string; at: Date; day: string; name: string }>;

beforeAll(async () => {
  database = await freshDatabase('connect');
  sequelize = openSequelize({ url: database.url, poolSize: 3 });
  await sequelize.query(
    'CREATE TABLE thing (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, at DATETIME(6), day DATE, name VARCHAR(5))',
  );
  Thing = sequelize.define('thing', {
    id: { type: DataTypes.BIGINT.UNSIGNED, primaryKey: true, autoIncrement: true },
    at: DataTypes.DATE(6),
    day: DataTypes.DATEONLY,
    name: DataTypes.STRING,
  }) as typeof Thing;
});
afterAll(async () => {
  await sequelize.close();
  await database.drop();
});

const first = async (sql: string) =>
  (await sequelize.query<Record<string, unknown>>(sql, { type: QueryTypes.SELECT }))[0];

describe('a session', () => {
  it('is READ COMMITTED, in UTC, strict, and ends with a silent client', async () => {
    const row = await first(
      'SELECT @@time_zone AS zone, @@wait_timeout AS silent, @@innodb_lock_wait_timeout AS locked, @@sql_mode AS mode',
    );
    expect(row).toMatchObject({ zone: '+00:00', mode: expect.stringContaining('STRICT_ALL_TABLES') });
    expect([Number(row!.silent), Number(row!.locked)]).toEqual([15, 5]);
    await expect(Thing.create({ name: 'too long for it' })).rejects.toThrow();
    // READ COMMITTED: a second read in one transaction sees what others have committed meanwhile.
    await sequelize.transaction(async (transaction) => {
      expect(await Thing.count({ transaction })).toBe(0);
      await Thing.create({ name: 'other' });
      expect(await Thing.count({ transaction })).toBe(1);
    });
    await Thing.destroy({ where: {} });
  });

  it('is READ COMMITTED whatever the server’s default is', async () => {
    const connection = mysql.createConnection(database.url);
    try {
      const isolation = async () => {
        const [rows] = await connection
          .promise()
          .query("SHOW VARIABLES WHERE Variable_name IN ('tx_isolation', 'transaction_isolation')");
        return new Set((rows as { Value: string }[]).map((row) => row.Value));
      };
      await connection.promise().query('SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE');
      expect(await isolation()).toEqual(new Set(['SERIALIZABLE']));
      await (sequelize as unknown as { runHooks(...given: unknown[]): Promise<void> }).runHooks(
        'afterConnect',
        connection,
      );
      expect(await isolation()).toEqual(new Set(['READ-COMMITTED']));
    } finally {
      connection.destroy();
    }
  });

  it('leaves the pool before the server ends it', async () => {
    const pool = (sequelize.connectionManager as unknown as { pool: Record<string, number> }).pool;
    expect(pool.idleTimeoutMillis! + pool.reapIntervalMillis!).toBeLessThan((15_000 * 2) / 3);
  });
});

describe('values', () => {
  it('are strings for BIGINT, below and above 2^53, and UTC for times', async () => {
    const at = new Date('2026-03-01T12:34:56.789Z');
    for (const start of ['100', '9007199254740993']) {
      await sequelize.query(`ALTER TABLE thing AUTO_INCREMENT = ${start}`);
      const { id } = await Thing.create({ at, day: '2026-03-01' });
      expect(id).toBe(start);
      const read = await Thing.findByPk(id);
      expect(read!.get()).toMatchObject({ id: start, at, day: '2026-03-01' });
      expect(await first(`SELECT id, CAST(at AS CHAR) AS text FROM thing WHERE id = ${start}`)).toEqual({
        id: start,
        text: '2026-03-01 12:34:56.789000',
      });
    }
  });

  it('of bulkCreate need individual hooks, since its ids would never be found', async () => {
    const rows = [{ name: 'a' }, { name: 'b' }];
    await expect(Thing.bulkCreate(rows)).rejects.toThrow('add { individualHooks: true }');
    const made = await Thing.bulkCreate(rows, { individualHooks: true });
    expect(made.map(({ id }) => typeof id)).toEqual(['string', 'string']);
  });
});

import { randomBytes } from 'node:crypto';
import mysql from 'mysql2/promise';

/** Endpoints of the tests' own stack, put into the environment by `testing/global-setup.ts`. */
export function testServers(): { mysqlUrl: string; redisUrl: string; kafkaBrokers: string[] } {
  const { HOTBOARD_MYSQL_URL, HOTBOARD_REDIS_URL, HOTBOARD_KAFKA_BROKERS } = process.env;
  if (!HOTBOARD_MYSQL_URL || !HOTBOARD_REDIS_URL || !HOTBOARD_KAFKA_BROKERS) {
    throw new Error('Integration tests need the tests’ stack: run them by `npm test`.');
  }
  return {
    mysqlUrl: HOTBOARD_MYSQL_URL,
    redisUrl: HOTBOARD_REDIS_URL,
    kafkaBrokers: HOTBOARD_KAFKA_BROKERS.split(','),
  };
}

/** A name that no other test uses: for topics, groups, namespaces and databases. */
export function uniqueName(prefix: string): string {
  return `${prefix}_${randomBytes(5).toString('hex')}`;
}

/** An empty database of its own on the tests' server. `drop()` removes it. */
export async function freshDatabase(prefix: string): Promise<{ name: string; url: string; drop(): Promise<void> }> {
  const name = uniqueName(prefix);
  const { mysqlUrl } = testServers();
  const run = async (sql: string) => {
    const connection = await mysql.createConnection(mysqlUrl);
    try {
      await connection.query(sql);
    } finally {
      await connection.end();
    }
  };
  await run(`CREATE DATABASE \`${name}\` CHARACTER SET utf8mb4`);
  return { name, url: new URL(`/${name}`, mysqlUrl).href, drop: () => run(`DROP DATABASE IF EXISTS \`${name}\``) };
}

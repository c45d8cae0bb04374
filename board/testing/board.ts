import moleculer, { type Service, type ServiceBroker, type ServiceSchema } from 'moleculer';
import mysql from 'mysql2/promise';
import { databaseName, databaseUrl } from '../../config/database-url.ts';
import { type Config, loadConfig } from '../../config/load.ts';
import { type BoardSource, boardSources } from '../../events/board.ts';
import { createTokens } from '../../identity/tokens.ts';
import { setsOf } from '../../migrations/databases.ts';
import { migrateDatabase } from '../../migrations/run.ts';
import { uniqueName } from '../../testing/servers.ts';
import { JsonSchemaValidator } from '../../validation/validator.ts';

/** An event as it waits in an outbox. */
export interface WrittenEvent {
  type: string;
  aggregateId: string;
  version: number;
  payload: Record<string, unknown>;
  headers: Record<string, string> | null;
}

/**
 * Databases, a Redis prefix and settings that no other test has, for brokers without a transporter. Sets `process.env`, so
 * call it before services are created. `overrides` are further `HOTBOARD_*` variables.
 */
export async function prepareBoard(
  sources: readonly BoardSource[] = boardSources,
  overrides: Readonly<Record<string, string>> = {},
) {
  Object.assign(process.env, {
    HOTBOARD_DATABASE_PREFIX: `${uniqueName('b')}_`,
    HOTBOARD_NAMESPACE: uniqueName('board'),
    HOTBOARD_JWT_SECRET: 'a secret that is long enough for HS256',
    HOTBOARD_HTTP_PORT: '0',
    HOTBOARD_SHUTDOWN_MS: '5000',
    HOTBOARD_REQUEST_TIMEOUT_MS: '20000',
    ...overrides,
  });
  const config = loadConfig(process.env);
  await Promise.all(
    sources.map((source) => migrateDatabase({ url: databaseUrl(config, source), sets: setsOf(source) })),
  );
  const brokers: ServiceBroker[] = [];
  return {
    config,
    /** A started node with these services. */
    async node(schemas: readonly ServiceSchema[]): Promise<ServiceBroker> {
      const broker = new moleculer.ServiceBroker({
        logger: process.env.TEST_LOGS ? { type: 'Console', options: { level: 'debug' } } : false,
        nodeID: `node-${brokers.length + 1}`,
        validator: new JsonSchemaValidator(),
        requestTimeout: config.requestTimeoutMs,
      });
      for (const schema of schemas) broker.createService(schema);
      brokers.push(broker);
      await broker.start();
      return broker;
    },
    query: <Row>(source: BoardSource, sql: string) => query<Row>(databaseUrl(config, source), sql),
    /** All events of a source in the order in which they were written. */
    async events(source: BoardSource): Promise<WrittenEvent[]> {
      const sql = 'SELECT event_type, aggregate_id, version, payload, headers FROM outbox ORDER BY id';
      const rows = await query<Record<string, unknown>>(databaseUrl(config, source), sql);
      return rows.map((row) => ({
        type: String(row.event_type),
        aggregateId: String(row.aggregate_id),
        version: Number(row.version),
        payload: JSON.parse(String(row.payload)),
        headers: row.headers === null ? null : JSON.parse(String(row.headers)),
      }));
    },
    async stop(): Promise<void> {
      await Promise.all(brokers.map((broker) => broker.stop()));
      for (const source of sources) {
        await query(databaseUrl(config, source), `DROP DATABASE IF EXISTS \`${databaseName(config, source)}\``);
      }
    },
  };
}

export type PreparedBoard = Awaited<ReturnType<typeof prepareBoard>>;

async function query<Row>(url: string, sql: string): Promise<Row[]> {
  const connection = await mysql.createConnection({ uri: url, supportBigNumbers: true, bigNumberStrings: true });
  try {
    return (await connection.query(sql))[0] as Row[];
  } finally {
    await connection.end();
  }
}

export interface HttpAnswer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of many shapes
  body: any;
}

/** A client of one gateway whose users have tokens. */
export function boardClient(broker: ServiceBroker, config: Config) {
  const tokens = createTokens({ ...config, devLogin: true });
  const base = `http://127.0.0.1:${broker.metadata.httpPort}`;
  return {
    base,
    async request(
      method: string,
      path: string,
      given: { as?: string; roles?: string[]; body?: unknown; headers?: Record<string, string> } = {},
    ): Promise<HttpAnswer> {
      const token = given.as === undefined ? null : await tokens.issue!({ id: given.as, roles: given.roles ?? [] });
      const response = await fetch(base + path, {
        method,
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(given.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...given.headers,
        },
        body: given.body === undefined ? undefined : JSON.stringify(given.body),
      });
      const text = await response.text();
      return { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) };
    },
  };
}

/** A service of a node. */
export function serviceOf<Instance extends Service>(broker: ServiceBroker, name: string): Instance {
  return broker.getLocalService(name) as unknown as Instance;
}

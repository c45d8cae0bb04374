import { type TSchema, Type } from '@sinclair/typebox';

/** One environment variable: its JSON Schema, its default (none: it must be set where it is needed) and what it means. */
export interface Variable<Schema extends TSchema = TSchema> {
  schema: Schema;
  default?: string;
  description: string;
  secret?: boolean;
}

const variable = <Schema extends TSchema>(schema: Schema, description: string, defaultValue: string) =>
  ({ schema, description, default: defaultValue }) satisfies Variable<Schema>;

/** A variable without a default: `undefined` in the configuration where it is not set. */
const optional = <Schema extends TSchema>(schema: Schema, description: string) =>
  ({ schema, description, default: undefined }) satisfies Variable<Schema>;

const port = Type.Integer({ minimum: 0, maximum: 65535 });
const milliseconds = (minimum: number) => Type.Integer({ minimum, maximum: 86_400_000 });
const flag = Type.Boolean();
const weight = Type.Number({ minimum: 0, maximum: 1_000_000 });

/**
 * Every `HOTBOARD_*` variable. `npm run config` prints this table; an unknown or a wrong one stops the start with one line
 * that names the key, the value and what is allowed. Keys are the names without the prefix, in camel case.
 */
export const variables = {
  // where the servers are
  mysqlUrl: optional(
    Type.String({ pattern: '^mysql://', description: 'mysql://user:password@host:port' }),
    'MySQL or MariaDB. Unset: the stack tool provides one.',
  ),
  redisUrl: optional(
    Type.String({ pattern: '^rediss?://', description: 'redis://host:port' }),
    'Redis. Unset: the stack tool provides one.',
  ),
  kafkaBrokers: optional(
    Type.Array(Type.String({ pattern: '^[^\\s:,]+:[0-9]{1,5}$' }), { minItems: 1, description: 'host:port,host:port' }),
    'Kafka bootstrap brokers. Unset: the stack tool provides one.',
  ),
  kafkaTls: variable(flag, 'Speak TLS with Kafka.', 'false'),
  kafkaTlsCa: optional(
    Type.String({ minLength: 1, description: 'a file that can be read' }),
    'File (PEM) with the certificates by which the brokers are trusted. Unset: those that Node trusts.',
  ),
  kafkaTlsCert: optional(
    Type.String({ minLength: 1, description: 'a file that can be read' }),
    'File (PEM) with the certificate that this side shows to Kafka, where the brokers ask for one.',
  ),
  kafkaTlsKey: optional(
    Type.String({ minLength: 1, description: 'a file that can be read' }),
    'File (PEM) with the key of that certificate.',
  ),
  kafkaSaslMechanism: variable(
    Type.Union([
      Type.Literal('none'),
      Type.Literal('plain'),
      Type.Literal('scram-sha-256'),
      Type.Literal('scram-sha-512'),
    ]),
    'SASL mechanism for Kafka.',
    'none',
  ),
  kafkaSaslUsername: variable(Type.String(), 'SASL user for Kafka.', ''),
  kafkaSaslPassword: { ...variable(Type.String(), 'SASL password for Kafka.', ''), secret: true },

  // the stack tool
  stack: variable(
    Type.Union([
      Type.Literal('auto'),
      Type.Literal('external'),
      Type.Literal('docker'),
      Type.Literal('installed'),
      Type.Literal('embedded'),
    ]),
    'What gives MySQL, Redis and Kafka; auto tries external, docker, installed, embedded, in this order.',
    'auto',
  ),
  cache: optional(Type.String(), 'Folder for downloaded servers. Unset: the XDG cache folder, else .hotboard/cache.'),
  data: variable(
    Type.String({ minLength: 1 }),
    'Folder for the data and logs of servers that the stack tool runs.',
    '.hotboard',
  ),
  mysqlPort: variable(port, 'Port for the MySQL that the stack tool runs; 0 takes a free one.', '0'),
  redisPort: variable(port, 'Port for the Redis that the stack tool runs; 0 takes a free one.', '0'),
  kafkaPort: variable(port, 'Port for the Kafka that the stack tool runs; 0 takes a free one.', '0'),

  // names
  databasePrefix: variable(
    Type.String({ pattern: '^[a-z][a-z0-9_]{0,31}$' }),
    'Each service has a database of its own: this prefix and the name of the service.',
    'hotboard_',
  ),
  topicPrefix: variable(
    Type.String({ pattern: '^[a-zA-Z0-9._-]{1,60}$' }),
    'Event topics are <prefix>.<source>.',
    'hotboard',
  ),
  namespace: variable(Type.String({ pattern: '^[a-zA-Z0-9._-]{0,60}$' }), 'Moleculer namespace.', 'hotboard'),

  // one node process
  nodeId: optional(
    Type.String({ pattern: '^[a-zA-Z0-9_.-]{1,100}$' }),
    'Moleculer node id, stable over restarts. Unset: made from the host and the process.',
  ),
  services: variable(
    Type.Array(Type.String({ pattern: '^[a-z][a-z-]*$' }), {
      minItems: 1,
      description: 'comma-separated names of services',
    }),
    'Services that this node runs.',
    'api,article,comment,like,view,hot-list',
  ),
  httpHost: variable(Type.String({ minLength: 1 }), 'Address that the gateway listens on.', '127.0.0.1'),
  httpPort: variable(port, 'Port of the gateway. npm start gives the second edge node the next one.', '3000'),
  opsHost: variable(Type.String({ minLength: 1 }), 'Address of the ops port (metrics, health).', '127.0.0.1'),
  opsPort: variable(port, 'Port for /metrics and /health of this node. npm start counts up from it.', '3100'),
  logLevel: variable(
    Type.Union([
      Type.Literal('fatal'),
      Type.Literal('error'),
      Type.Literal('warn'),
      Type.Literal('info'),
      Type.Literal('debug'),
      Type.Literal('trace'),
    ]),
    'How much a node logs.',
    'info',
  ),
  shutdownMs: variable(milliseconds(1000), 'How long a node may drain before it is ended.', '15000'),
  requestTimeoutMs: variable(milliseconds(100), 'Time limit of an action call.', '5000'),
  databasePoolSize: variable(
    Type.Integer({ minimum: 1, maximum: 500 }),
    'Connections to MySQL for each service of a node.',
    '10',
  ),

  // who may do what
  jwtSecret: {
    ...optional(
      Type.String({ minLength: 32 }),
      'HS256 secret of the bearer tokens, 32 characters or more. This or the JWKS address must be set on a node with the gateway.',
    ),
    secret: true,
  },
  jwtJwksUrl: optional(Type.String({ pattern: '^https?://' }), 'JWKS address whose keys sign the bearer tokens.'),
  devLogin: variable(
    flag,
    'POST /v1/dev/tokens gives anybody a token. Refused on a public address and in production.',
    'false',
  ),

  // outbox and relay
  buckets: variable(
    Type.Integer({ minimum: 1, maximum: 64 }),
    'Buckets of each outbox. Written into the database by the first migration; another value later is refused.',
    '8',
  ),
  relayLeaseMs: variable(milliseconds(500), 'How long a bucket stays with a relay that is silent.', '5000'),
  relayBatchSize: variable(
    Type.Integer({ minimum: 1, maximum: 10_000 }),
    'Events in one batch of a bucket at most.',
    '1000',
  ),
  relayDelivery: variable(
    Type.Union([Type.Literal('at-least-once'), Type.Literal('exactly-once')]),
    'How events get into their topics: at-least-once (twice after a fault) or exactly-once (Kafka transactions).',
    'at-least-once',
  ),
  relayMaxAttempts: variable(
    Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    'Failures of one event for its own sake (refused, too large, missing) after which its key is dead.',
    '10',
  ),
  relayDeadPolicy: variable(
    Type.Union([Type.Literal('block-key'), Type.Literal('skip-key')]),
    'A dead key waits for an operator (block-key), or its event is replaced by a Skipped one (skip-key).',
    'block-key',
  ),
  relayIdlePollMs: variable(
    milliseconds(10),
    'Longest pause between two polls of an idle bucket (a nudge wakes it at once).',
    '2000',
  ),
  outboxRetentionDays: variable(
    Type.Integer({ minimum: 1, maximum: 3650 }),
    'Days that sent events stay in the outbox.',
    '7',
  ),
  outboxAuditDays: variable(
    Type.Integer({ minimum: 0, maximum: 36500 }),
    'Days that the record of what operators did to events stays (0: for ever).',
    '400',
  ),
  idempotencyKeepHours: variable(
    Type.Integer({ minimum: 1, maximum: 720 }),
    'Hours that an Idempotency-Key and its answer are remembered.',
    '24',
  ),

  // inbox
  inboxIdDays: variable(
    Type.Integer({ minimum: 1, maximum: 3650 }),
    'Days that an inbox keeps the ids of applied events: more than its topics keep messages plus the replay days.',
    '15',
  ),
  inboxReplayDays: variable(
    Type.Integer({ minimum: 0, maximum: 3650 }),
    'Days for which messages may come again after their topic has dropped them.',
    '7',
  ),
  inboxEndlessTopics: variable(
    Type.Union([Type.Literal('refuse'), Type.Literal('keep-ids'), Type.Literal('purge-ids')]),
    'Ids of topics that keep messages for ever: refuse to start, keep them for ever, or remove them all the same.',
    'refuse',
  ),

  // the board
  timeZone: variable(
    Type.String({ minLength: 1, description: 'an IANA time zone' }),
    'Days of the hot list follow this time zone.',
    'Asia/Seoul',
  ),
  viewWindowMs: variable(milliseconds(1000), 'A user counts once for an article in this time.', '600000'),
  viewFlushCount: variable(
    Type.Integer({ minimum: 1, maximum: 100_000 }),
    'Views of an article that are written at once.',
    '100',
  ),
  viewFlushMs: variable(milliseconds(50), 'Views wait at most so long before they are written.', '2000'),
  scoreFormula: variable(
    Type.Union([Type.Literal('linear'), Type.Literal('reddit'), Type.Literal('hacker-news')]),
    'How a score follows from the weighted counts and the age.',
    'linear',
  ),
  scoreLikes: variable(weight, 'Weight of a like in the score.', '3'),
  scoreComments: variable(weight, 'Weight of a comment in the score.', '2'),
  scoreViews: variable(weight, 'Weight of a view in the score.', '1'),
  hotDays: variable(Type.Integer({ minimum: 1, maximum: 366 }), 'Days whose hot list can be asked for.', '10'),
  hotWaitMs: variable(
    milliseconds(0),
    'How long a read of the hot list waits at most for what its Hotboard-Token names.',
    '3000',
  ),
} satisfies Record<string, Variable>;

export type VariableKey = keyof typeof variables;

/** `relayLeaseMs` → `HOTBOARD_RELAY_LEASE_MS`. */
export function environmentName(key: VariableKey): string {
  return `HOTBOARD_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

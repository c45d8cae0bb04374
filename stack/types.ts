import type { Config } from '../config/load.ts';
import type { ProcessIdentity } from './process-identity.ts';

/** What the project needs. */
export const products = ['mysql', 'redis', 'kafka'] as const;
export type Product = (typeof products)[number];

/** One server. A stack of several brokers has `kafka-1`, `kafka-2`, … in place of `kafka`. */
export type ServerName = Product | `kafka-${number}`;

/** Ways to get a server, in the order in which `auto` tries them. */
export const providers = ['external', 'docker', 'installed', 'embedded'] as const;
export type Provider = (typeof providers)[number];

/** The part of the configuration that the stack tool reads. */
export type StackConfig = Pick<
  Config,
  | 'stack'
  | 'cache'
  | 'mysqlUrl'
  | 'redisUrl'
  | 'kafkaBrokers'
  | 'mysqlPort'
  | 'redisPort'
  | 'kafkaPort'
  | 'kafkaTls'
  | 'kafkaTlsCa'
  | 'kafkaTlsCert'
  | 'kafkaTlsKey'
  | 'kafkaSaslMechanism'
  | 'kafkaSaslUsername'
  | 'kafkaSaslPassword'
>;

/** A line of progress for a person. */
export type Log = (line: string) => void;

/** What `stack status` shows of a server. */
export interface ServerStatus {
  name: ServerName;
  provider: Provider;
  /** host:port, without credentials. */
  endpoint: string;
  version: string;
  /** Null for what is no process of ours (external, Docker), and for one that died. */
  pid: number | null;
  port: number;
}

/** Endpoints as the variables that every part of Hotboard reads. */
export interface StackEnvironment {
  HOTBOARD_MYSQL_URL: string;
  HOTBOARD_REDIS_URL: string;
  HOTBOARD_KAFKA_BROKERS: string;
}

/** How the keeper starts a server. */
export interface ServerCommand {
  name: ServerName;
  command: string;
  args: string[];
  env: Record<string, string>;
  cwd: string;
  logFile: string;
  /** How long it may take to end after SIGTERM before SIGKILL. */
  stopGraceMs: number;
}

/** A server in the state file. */
export interface StateServer extends Omit<ServerStatus, 'pid'> {
  process: ProcessIdentity | null;
}

/** `<data>/stack.json`: what runs on a data folder. Written by the keeper, there as long as the stack runs. */
export interface StackState {
  token: string;
  startedAt: string;
  /** The process that ends the servers. */
  keeper: ProcessIdentity;
  /** Whose end ends the stack; null: it runs until `stack down`. */
  owner: ProcessIdentity | null;
  /** What the owner is, for people: `npm start`, `stack up`, `tests`. */
  startedBy: string;
  /** True from the moment that the servers are being ended. */
  ending: boolean;
  servers: StateServer[];
  environment: StackEnvironment | null;
  runFolder: string;
}

/** What the keeper is told first. */
export interface KeeperPlan {
  stateFile: string;
  runFolder: string;
  token: string;
  startedBy: string;
  owner: ProcessIdentity;
  /** Commands that end what is no child of the keeper (Docker compose). */
  endCommands: { command: string; args: string[]; cwd: string }[];
  /** A folder whose content is worth nothing after the stack: servers are killed at once, and it is removed. */
  throwAwayFolder: string | null;
}

export type KeeperRequest =
  | { id: number; do: 'plan'; plan: KeeperPlan }
  | { id: number; do: 'start'; server: ServerCommand }
  | { id: number; do: 'adopt'; servers: StateServer[]; environment: StackEnvironment }
  | { id: number; do: 'stop'; name: ServerName }
  | { id: number; do: 'detach' }
  | { id: number; do: 'end'; hard: boolean };

export type KeeperReply =
  | { id: number; error?: string; process?: ProcessIdentity }
  | { exited: ServerName; pid: number; code: number | null; signal: string | null };

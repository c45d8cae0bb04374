import type { KafkaConnection, ReadingKafkaPort } from '../kafka/port.ts';

/** Options of `KafkaTransporter`. Only `connection` must be given. Times are milliseconds. */
export interface KafkaTransporterOptions {
  /** Brokers, TLS, SASL. `clientId` defaults to the node id, `requestTimeoutMs` to 3,000. */
  connection: Omit<KafkaConnection, 'clientId'> & { clientId?: string };
  /**
   * Partitions of each of its topics, at most one for each broker. Packets go by the first; where its broker is away, by the next
   * one at once.
   */
  partitions?: number;
  /** Replicas of each partition; -1 takes the cluster's default. More than one makes packets wait for Kafka's failover. */
  replicationFactor?: number;
  /** How long Kafka keeps packets. They are useless after seconds; this only bounds the disk. */
  retentionMs?: number;
  /** Larger packets are refused. Topics are created so that they take packets of this size. */
  maxPacketBytes?: number;
  /** How many packets, and bytes, may wait for Kafka; more are refused. */
  maxQueuedPackets?: number;
  maxQueuedBytes?: number;
  /** A request without a timeout of its own, and a response, is dropped when it is older. */
  requestTtlMs?: number;
  /** An event is dropped when it is older. */
  eventTtlMs?: number;
  /** A heartbeat, ping or discovery packet is dropped when it is older. */
  controlTtlMs?: number;
  /** How much older than its limit a packet may seem to the receiver, because clocks run apart while nobody looks. */
  clockToleranceMs?: number;
  /** How long a failing connection may recover before calls fail at once. */
  graceMs?: number;
  /** How long a broker holds a fetch while there is nothing to read. */
  fetchWaitMs?: number;
  /** How long `broker.stop()` waits for packets on their way. */
  disconnectTimeoutMs?: number;
  /** A node that heard nothing for so many heartbeat intervals, not even itself, is deaf. */
  deafAfterHeartbeats?: number;
  /** Deletes inbox topics of nodes that are gone for so long. Off by default; not needed with stable node ids. */
  janitor?: false | { deleteAfterMs: number };
  /** Another Kafka client; default: the one on @platformatic/kafka. */
  createPort?: (connection: KafkaConnection) => ReadingKafkaPort;
}

export type Settings = Required<Omit<KafkaTransporterOptions, 'createPort' | 'connection' | 'janitor'>> & {
  connection: KafkaTransporterOptions['connection'];
  janitor: false | { deleteAfterMs: number };
  createPort: KafkaTransporterOptions['createPort'];
};

/** Defaults, and what is allowed: [default, least, most]. README.md has the same table. */
export const numericOptions = {
  partitions: [3, 1, 10],
  replicationFactor: [1, -1, 32_767],
  retentionMs: [120_000, 10_000, 86_400_000],
  maxPacketBytes: [4_000_000, 10_000, 90_000_000],
  maxQueuedPackets: [20_000, 1, 10_000_000],
  maxQueuedBytes: [64_000_000, 10_000, 4_000_000_000],
  requestTtlMs: [30_000, 100, 86_400_000],
  eventTtlMs: [60_000, 100, 86_400_000],
  controlTtlMs: [10_000, 100, 86_400_000],
  clockToleranceMs: [2_000, 0, 3_600_000],
  graceMs: [3_000, 100, 60_000],
  fetchWaitMs: [2_500, 10, 30_000],
  disconnectTimeoutMs: [2_000, 0, 60_000],
  deafAfterHeartbeats: [3, 1, 1_000],
} as const satisfies Partial<Record<keyof KafkaTransporterOptions, readonly [number, number, number]>>;

const otherOptions = ['connection', 'janitor', 'createPort'];

/** Topics of a node that merely restarts slowly must never be deleted. */
const leastDeleteAfterMs = 600_000;

/** Checks the options and fills in the defaults. Throws a `TypeError` that names the option, its value and what is allowed. */
export function settingsOf(options: KafkaTransporterOptions): Settings {
  if (typeof options !== 'object' || options === null) throw wrong('options', options, 'an object with `connection`');
  const names = [...Object.keys(numericOptions), ...otherOptions];
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) throw wrong(`option ${name}`, 'unknown', `one of ${names.join(', ')}`);
  }
  const brokers = options.connection?.brokers;
  if (!Array.isArray(brokers) || brokers.length === 0 || !brokers.every(isBroker)) {
    throw wrong('connection.brokers', brokers, 'a list of host:port');
  }
  const numbers = {} as Record<keyof typeof numericOptions, number>;
  for (const [name, [byDefault, least, most]] of Object.entries(numericOptions)) {
    const value = options[name as keyof typeof numericOptions] ?? byDefault;
    if (!Number.isInteger(value) || value < least || value > most || (name === 'replicationFactor' && value === 0)) {
      throw wrong(name, value, `an integer from ${least} to ${most}`);
    }
    numbers[name as keyof typeof numericOptions] = value;
  }
  const janitor = options.janitor ?? false;
  if (janitor !== false && !(Number.isInteger(janitor.deleteAfterMs) && janitor.deleteAfterMs >= leastDeleteAfterMs)) {
    throw wrong('janitor', janitor, `false or { deleteAfterMs: an integer of ${leastDeleteAfterMs} or more }`);
  }
  if (numbers.maxQueuedBytes < numbers.maxPacketBytes) {
    throw wrong('maxQueuedBytes', numbers.maxQueuedBytes, `maxPacketBytes (${numbers.maxPacketBytes}) or more`);
  }
  return { ...numbers, connection: options.connection, janitor, createPort: options.createPort };
}

function isBroker(broker: unknown): boolean {
  return typeof broker === 'string' && /^(\[[^\]]+\]|[^\s:,]+):\d{1,5}$/.test(broker);
}

function wrong(what: string, value: unknown, allowed: string): TypeError {
  return new TypeError(`KafkaTransporter: ${what} is ${JSON.stringify(value)}; allowed: ${allowed}`);
}

import { isUntrusted, KafkaError, type KafkaErrorCode } from '../errors.ts';

/**
 * The one place where kafkajs's errors become the port's. Protocol errors carry the broker's code as `type`
 * (kafkajs 2.2.4, src/protocol/error.js), all others are known by `name` (src/errors.js).
 */
const byType: Readonly<Record<string, [KafkaErrorCode, retryable: boolean]>> = {
  UNKNOWN_TOPIC_OR_PARTITION: ['KAFKA_UNKNOWN_TOPIC_OR_PARTITION', true],
  TOPIC_ALREADY_EXISTS: ['KAFKA_TOPIC_EXISTS', false],
  MESSAGE_TOO_LARGE: ['KAFKA_MESSAGE_TOO_LARGE', false],
  RECORD_LIST_TOO_LARGE: ['KAFKA_MESSAGE_TOO_LARGE', false],
  OFFSET_OUT_OF_RANGE: ['KAFKA_OFFSET_OUT_OF_RANGE', false],

  INVALID_PRODUCER_EPOCH: ['KAFKA_FENCED', false],
  INVALID_PRODUCER_ID_MAPPING: ['KAFKA_FENCED', false],
  INVALID_TXN_STATE: ['KAFKA_FENCED', false],

  UNKNOWN_MEMBER_ID: ['KAFKA_NOT_OWNER', true],
  ILLEGAL_GENERATION: ['KAFKA_NOT_OWNER', true],
  REBALANCE_IN_PROGRESS: ['KAFKA_NOT_OWNER', true],
  FENCED_INSTANCE_ID: ['KAFKA_NOT_OWNER', true],

  TOPIC_AUTHORIZATION_FAILED: ['KAFKA_NOT_AUTHORIZED', false],
  GROUP_AUTHORIZATION_FAILED: ['KAFKA_NOT_AUTHORIZED', false],
  CLUSTER_AUTHORIZATION_FAILED: ['KAFKA_NOT_AUTHORIZED', false],
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: ['KAFKA_NOT_AUTHORIZED', false],
  SASL_AUTHENTICATION_FAILED: ['KAFKA_NOT_AUTHORIZED', false],
  UNSUPPORTED_SASL_MECHANISM: ['KAFKA_NOT_AUTHORIZED', false],

  INVALID_TOPIC_EXCEPTION: ['KAFKA_BAD_ARGUMENT', false],
  INVALID_PARTITIONS: ['KAFKA_BAD_ARGUMENT', false],
  INVALID_REPLICATION_FACTOR: ['KAFKA_BAD_ARGUMENT', false],
  INVALID_REPLICA_ASSIGNMENT: ['KAFKA_BAD_ARGUMENT', false],
  INVALID_CONFIG: ['KAFKA_BAD_ARGUMENT', false],
  INVALID_REQUEST: ['KAFKA_BAD_ARGUMENT', false],
  INVALID_GROUP_ID: ['KAFKA_BAD_ARGUMENT', false],
  INVALID_SESSION_TIMEOUT: ['KAFKA_BAD_ARGUMENT', false],
  INVALID_TRANSACTION_TIMEOUT: ['KAFKA_BAD_ARGUMENT', false],
  INVALID_RECORD: ['KAFKA_BAD_ARGUMENT', false],
  INVALID_TIMESTAMP: ['KAFKA_BAD_ARGUMENT', false],
  POLICY_VIOLATION: ['KAFKA_BAD_ARGUMENT', false],
  NON_EMPTY_GROUP: ['KAFKA_BAD_ARGUMENT', true],

  LEADER_NOT_AVAILABLE: ['KAFKA_UNAVAILABLE', true],
  NOT_LEADER_FOR_PARTITION: ['KAFKA_UNAVAILABLE', true],
  REQUEST_TIMED_OUT: ['KAFKA_UNAVAILABLE', true],
  BROKER_NOT_AVAILABLE: ['KAFKA_UNAVAILABLE', true],
  REPLICA_NOT_AVAILABLE: ['KAFKA_UNAVAILABLE', true],
  NETWORK_EXCEPTION: ['KAFKA_UNAVAILABLE', true],
  GROUP_LOAD_IN_PROGRESS: ['KAFKA_UNAVAILABLE', true],
  GROUP_COORDINATOR_NOT_AVAILABLE: ['KAFKA_UNAVAILABLE', true],
  NOT_COORDINATOR_FOR_GROUP: ['KAFKA_UNAVAILABLE', true],
  NOT_ENOUGH_REPLICAS: ['KAFKA_UNAVAILABLE', true],
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: ['KAFKA_UNAVAILABLE', true],
  NOT_CONTROLLER: ['KAFKA_UNAVAILABLE', true],
  CONCURRENT_TRANSACTIONS: ['KAFKA_UNAVAILABLE', true],
  KAFKA_STORAGE_ERROR: ['KAFKA_UNAVAILABLE', true],
  ILLEGAL_SASL_STATE: ['KAFKA_UNAVAILABLE', true],

  OUT_OF_ORDER_SEQUENCE_NUMBER: ['KAFKA_NOT_ACKNOWLEDGED', true],
  DUPLICATE_SEQUENCE_NUMBER: ['KAFKA_NOT_ACKNOWLEDGED', true],
  UNKNOWN_PRODUCER_ID: ['KAFKA_NOT_ACKNOWLEDGED', true],
};

/** Codes that kafkajs does not know: it only names them in the message ("Unknown error code 90"). */
const byUnknownCode: Readonly<Record<string, [KafkaErrorCode, retryable: boolean]>> = {
  90: ['KAFKA_FENCED', false], // PRODUCER_FENCED
  120: ['KAFKA_NOT_ACKNOWLEDGED', true], // TRANSACTION_ABORTABLE
};

const unavailable = new Set([
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSRequestTimeoutError',
  'KafkaJSBrokerNotFound',
  'KafkaJSNoBrokerAvailableError',
  'KafkaJSGroupCoordinatorNotFound',
  'KafkaJSMetadataNotLoaded',
  'KafkaJSTopicMetadataNotLoaded',
  'KafkaJSLockTimeout',
  'KafkaJSTimeout',
]);

/** The port's error for anything that kafkajs threw. `doing` says in words what was tried. */
export function translate(error: unknown, doing: string): KafkaError {
  if (error instanceof KafkaError) return error;
  const chain = [...causes(error)];
  const [code, retryable] = classify(chain) ?? ['KAFKA_UNEXPECTED', false];
  const native = chain.find((link) => link.type !== undefined) ?? chain.at(-1) ?? chain[0];
  return new KafkaError(code, `${doing}: ${native?.message ?? String(error)}`, { retryable, cause: error });
}

/** The broker's own name for what went wrong, e.g. `MESSAGE_TOO_LARGE`; undefined where no broker said anything. */
export function protocolType(error: unknown): string | undefined {
  for (const link of causes(error)) if (link.type !== undefined) return link.type;
  return undefined;
}

interface NativeError {
  name?: string;
  message?: string;
  type?: string;
  /** kafkajs's own errors have it too: a connection error takes over that of the socket. */
  code?: unknown;
  cause?: unknown;
  errors?: unknown[];
}

function classify(chain: readonly NativeError[]): [KafkaErrorCode, boolean] | undefined {
  for (const link of chain) {
    const known = link.type === undefined ? undefined : byType[link.type];
    if (known) return known;
    const unknownCode = /^Unknown error code (\d+)$/.exec(link.message ?? '')?.[1];
    if (unknownCode && byUnknownCode[unknownCode]) return byUnknownCode[unknownCode];
  }
  if (chain.some(({ code }) => isUntrusted(code))) return ['KAFKA_UNTRUSTED', false];
  for (const link of chain) {
    if (link.name === 'KafkaJSSASLAuthenticationError') return ['KAFKA_NOT_AUTHORIZED', false];
    if (link.name && unavailable.has(link.name)) return ['KAFKA_UNAVAILABLE', true];
  }
  return undefined;
}

/** The error, what caused it, and so on; wrapped lists of errors (createTopics, deleteGroups) too. */
function* causes(error: unknown, depth = 0): Generator<NativeError> {
  if (typeof error !== 'object' || error === null || depth > 8) return;
  const link = error as NativeError & { groups?: { error?: unknown }[] };
  yield link;
  yield* causes(link.cause, depth + 1);
  for (const inner of link.errors ?? []) yield* causes(inner, depth + 1);
  if (Array.isArray(link.groups)) for (const group of link.groups) yield* causes(group?.error, depth + 1);
}

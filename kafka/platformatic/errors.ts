import {
  GenericError,
  MultipleErrors,
  protocolErrors,
  protocolErrorsCodesById,
  ResponseError,
} from '@platformatic/kafka';
import { isUntrusted, KafkaError, type KafkaErrorCode } from '../errors.ts';

// All that this adapter knows about the client's errors and Kafka's error codes is in this file.

/** Kafka's error codes that the adapter acts on (Apache Kafka, org.apache.kafka.common.protocol.Errors). */
export const protocolCode = {
  none: 0,
  offsetOutOfRange: 1,
  unknownTopicOrPartition: 3,
  leaderNotAvailable: 5,
  notLeaderOrFollower: 6,
  messageTooLarge: 10,
  coordinatorLoadInProgress: 14,
  coordinatorNotAvailable: 15,
  notCoordinator: 16,
  recordListTooLarge: 18,
  illegalGeneration: 22,
  unknownMemberId: 25,
  rebalanceInProgress: 27,
  topicAlreadyExists: 36,
  notController: 41,
  outOfOrderSequenceNumber: 45,
  duplicateSequenceNumber: 46,
  invalidProducerEpoch: 47,
  invalidProducerIdMapping: 49,
  concurrentTransactions: 51,
  unknownProducerId: 59,
  groupIdNotFound: 69,
  fencedLeaderEpoch: 74,
  unknownLeaderEpoch: 75,
  offsetNotAvailable: 78,
  memberIdRequired: 79,
  producerFenced: 90,
  unknownTopicId: 100,
  inconsistentTopicId: 103,
} as const;

const codes = new Map<number, [KafkaErrorCode, boolean]>([
  [protocolCode.offsetOutOfRange, ['KAFKA_OFFSET_OUT_OF_RANGE', false]],
  [protocolCode.unknownTopicOrPartition, ['KAFKA_UNKNOWN_TOPIC_OR_PARTITION', true]],
  [protocolCode.unknownTopicId, ['KAFKA_UNKNOWN_TOPIC_OR_PARTITION', true]],
  [protocolCode.inconsistentTopicId, ['KAFKA_UNKNOWN_TOPIC_OR_PARTITION', true]],
  [protocolCode.messageTooLarge, ['KAFKA_MESSAGE_TOO_LARGE', false]],
  [protocolCode.recordListTooLarge, ['KAFKA_MESSAGE_TOO_LARGE', false]],
  [17, ['KAFKA_BAD_ARGUMENT', false]], // invalid topic
  [protocolCode.topicAlreadyExists, ['KAFKA_TOPIC_EXISTS', false]],
  [37, ['KAFKA_BAD_ARGUMENT', false]], // invalid partitions
  [38, ['KAFKA_BAD_ARGUMENT', false]], // invalid replication factor
  [32, ['KAFKA_BAD_ARGUMENT', false]], // invalid time stamp
  [40, ['KAFKA_BAD_ARGUMENT', false]], // invalid configuration
  [68, ['KAFKA_BAD_ARGUMENT', false]], // group is not empty
  [87, ['KAFKA_BAD_ARGUMENT', false]], // invalid record
  [protocolCode.illegalGeneration, ['KAFKA_NOT_OWNER', false]],
  [protocolCode.unknownMemberId, ['KAFKA_NOT_OWNER', false]],
  [protocolCode.rebalanceInProgress, ['KAFKA_NOT_OWNER', false]],
  [82, ['KAFKA_NOT_OWNER', false]], // fenced instance id
  [29, ['KAFKA_NOT_AUTHORIZED', false]], // topic
  [30, ['KAFKA_NOT_AUTHORIZED', false]], // group
  [31, ['KAFKA_NOT_AUTHORIZED', false]], // cluster
  [53, ['KAFKA_NOT_AUTHORIZED', false]], // transactional id
  [58, ['KAFKA_NOT_AUTHORIZED', false]], // SASL authentication
  [7, ['KAFKA_NOT_ACKNOWLEDGED', true]], // the replicas did not answer the leader in time
  [20, ['KAFKA_NOT_ACKNOWLEDGED', true]], // stored by the leader, and by too few replicas
  [protocolCode.invalidProducerEpoch, ['KAFKA_FENCED', false]],
  [protocolCode.producerFenced, ['KAFKA_FENCED', false]],
  [48, ['KAFKA_FENCED', false]], // invalid transaction state: it timed out, so the broker ended it
  [protocolCode.invalidProducerIdMapping, ['KAFKA_FENCED', false]],
]);

/** A broker that cannot do it now, or is not the one that can. */
const unavailable: [KafkaErrorCode, boolean] = ['KAFKA_UNAVAILABLE', true];
const unexpected: [KafkaErrorCode, boolean] = ['KAFKA_UNEXPECTED', false];

/** Codes after which another broker leads the partition, or will: nothing was stored. */
const movedCodes = new Set<number>([
  protocolCode.unknownTopicOrPartition,
  protocolCode.leaderNotAvailable,
  protocolCode.notLeaderOrFollower,
  protocolCode.fencedLeaderEpoch,
  protocolCode.unknownLeaderEpoch,
  protocolCode.unknownTopicId,
  protocolCode.inconsistentTopicId,
]);

/** The partition's leader is elsewhere or not known yet; a produce request with this answer stored nothing. */
export function hasMoved(errorCode: number): boolean {
  return movedCodes.has(errorCode);
}

export function nameOfProtocolCode(errorCode: number): string {
  return protocolErrorsCodesById[errorCode as keyof typeof protocolErrorsCodesById] ?? `error ${errorCode}`;
}

/** The port's error for a code that a broker answered with. */
export function errorOfProtocolCode(errorCode: number, what: string, cause?: unknown): KafkaError {
  const name = nameOfProtocolCode(errorCode);
  const [code, retryable] = codes.get(errorCode) ?? (canRetry(name) ? unavailable : unexpected);
  return new KafkaError(code, `${what}: ${name}`, { retryable, cause });
}

function canRetry(name: string): boolean {
  const known = protocolErrors as Record<string, { canRetry?: boolean } | undefined>;
  return known[name]?.canRetry === true;
}

/** The port's error for anything that was thrown by the client library, or by Node beneath it. */
export function toKafkaError(error: unknown, what: string): KafkaError {
  if (error instanceof KafkaError) return error;
  const apiCode = protocolCodeOf(error);
  if (apiCode !== null) return errorOfProtocolCode(apiCode, what, error);
  const { code } = (error ?? {}) as { code?: unknown };
  const message = wordsOf(error);
  if (causeCodes(error).some(isUntrusted)) {
    return new KafkaError('KAFKA_UNTRUSTED', `${what}: ${message}`, { retryable: false, cause: error });
  }
  if (code === 'PLT_KFK_AUTHENTICATION' || causeCodes(error).includes('PLT_KFK_AUTHENTICATION')) {
    return new KafkaError('KAFKA_NOT_AUTHORIZED', `${what}: ${message}`, { retryable: false, cause: error });
  }
  if (code === 'PLT_KFK_USER' || code === 'PLT_KFK_UNSUPPORTED_API' || code === 'PLT_KFK_UNSUPPORTED') {
    return new KafkaError('KAFKA_UNEXPECTED', `${what}: ${message}`, { retryable: false, cause: error });
  }
  // The rest is the network's: refused, reset, timed out, closed.
  if (typeof code === 'string') {
    return new KafkaError('KAFKA_UNAVAILABLE', `${what}: ${message}`, { retryable: true, cause: error });
  }
  return new KafkaError('KAFKA_UNEXPECTED', `${what}: ${message}`, { retryable: false, cause: error });
}

/** Kafka's own error code inside a client error, null where there is none. */
export function protocolCodeOf(error: unknown): number | null {
  const apiCode = (error as { apiCode?: unknown } | null)?.apiCode;
  if (typeof apiCode === 'number') return apiCode;
  const errors = (error as { errors?: unknown } | null)?.errors;
  if (Array.isArray(errors)) {
    for (const inner of errors) {
      const code = protocolCodeOf(inner);
      if (code !== null) return code;
    }
  }
  return null;
}

/** The client says what failed, and only its cause says why. */
function wordsOf(error: unknown): string {
  const { message, cause } = (error ?? {}) as { message?: string; cause?: { message?: string } };
  return cause?.message ? `${message} (${cause.message})` : (message ?? String(error));
}

function causeCodes(error: unknown): string[] {
  const found: string[] = [];
  for (let at = error as { code?: string; cause?: unknown } | undefined, depth = 0; at && depth < 5; depth++) {
    if (at.code) found.push(at.code);
    at = at.cause as typeof at;
  }
  return found;
}

/**
 * A broker's answer that carries error codes is thrown by the client, with the whole answer attached. The adapter wants the
 * answer: which partitions succeeded is in it.
 */
export async function answerWithErrors<Answer>(request: Promise<Answer>): Promise<Answer> {
  try {
    return await request;
  } catch (error) {
    const response = (error as { code?: string; response?: Answer }).response;
    if ((error as { code?: string }).code === ResponseError.code && response) return response;
    throw error;
  }
}

export function isClientError(error: unknown): boolean {
  return error instanceof Error && (GenericError.isGenericError(error) || MultipleErrors.isMultipleErrors(error));
}

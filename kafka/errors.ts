import { CodedError } from '../errors/coded-error.ts';
import type { PartitionFailure } from './port.ts';

/** What went wrong, in the port's own words: the same for every client library behind it. */
export type KafkaErrorCode =
  /** No broker could be reached, or the one that had to answer did not in time. */
  | 'KAFKA_UNAVAILABLE'
  /** Part of a batch, or all of it, has no acknowledgement: it may or may not be in the topic. */
  | 'KAFKA_NOT_ACKNOWLEDGED'
  /** A newer producer with the same transactional id has taken over. */
  | 'KAFKA_FENCED'
  /** `transaction` was called without a `fence()` since the start or since the last error; nothing was sent. */
  | 'KAFKA_FENCE_REQUIRED'
  /** The outcome of a transaction's commit is not known. */
  | 'KAFKA_COMMIT_UNKNOWN'
  /** The broker refused the message because of its size. */
  | 'KAFKA_MESSAGE_TOO_LARGE'
  | 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION'
  | 'KAFKA_TOPIC_EXISTS'
  /** The stored position is outside what the partition still holds. */
  | 'KAFKA_OFFSET_OUT_OF_RANGE'
  /** A commit from a consumer that no longer owns the partition. */
  | 'KAFKA_NOT_OWNER'
  | 'KAFKA_NOT_AUTHORIZED'
  /** The broker's certificate is not trusted, or is for another name. */
  | 'KAFKA_UNTRUSTED'
  /** The port was used after `close()` or `stop()`. */
  | 'KAFKA_CLOSED'
  | 'KAFKA_BAD_ARGUMENT'
  | 'KAFKA_UNEXPECTED';

/** An error of the Kafka port. `cause` is the client library's own error, for logs only: never branch on it. */
export class KafkaError extends CodedError<KafkaErrorCode> {
  override readonly name = 'KafkaError';
  /**
   * Of a transaction that is not committed: the partitions, and the refused messages, on whose account it is not, where
   * the client can tell. Empty: it can't.
   */
  readonly failed: readonly PartitionFailure[];

  constructor(
    code: KafkaErrorCode,
    message: string,
    options: { retryable: boolean; cause?: unknown; failed?: readonly PartitionFailure[] },
  ) {
    super(code, message, options);
    this.failed = options.failed ?? [];
  }
}

/** What Node's TLS says of a certificate that it does not accept (node:tls, "X509 certificate error codes"). */
const certificateCodes =
  /^(CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_|INVALID_CA$|INVALID_PURPOSE$|HOSTNAME_MISMATCH$)/;

/** Whether a native error's code says that the broker's certificate is not trusted. */
export function isUntrusted(code: unknown): boolean {
  return typeof code === 'string' && certificateCodes.test(code);
}

export type MigrationErrorCode =
  /** Somebody else was migrating the same database for longer than we wait. */
  | 'MIGRATION_LOCKED'
  | 'MIGRATION_LOCK_LOST'
  /** A step failed; the message names it. What it had done so far may stay: run it again. */
  | 'MIGRATION_FAILED'
  /** The given names, sets or URL make no sense. */
  | 'MIGRATION_BAD_ARGUMENT'
  /** The server cannot be reached, or refuses the user. */
  | 'MIGRATION_NO_CONNECTION'
  /** A Kafka topic is there but not as it has to be. */
  | 'TOPIC_MISMATCH'
  | 'TOPIC_KAFKA_UNAVAILABLE';

export class MigrationError extends Error {
  override readonly name = 'MigrationError';
  readonly code: MigrationErrorCode;
  /** Whether the same call can succeed later without any change. */
  readonly retryable: boolean;

  constructor(code: MigrationErrorCode, message: string, options: { retryable: boolean; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable;
  }
}

export function badArgument(message: string): MigrationError {
  return new MigrationError('MIGRATION_BAD_ARGUMENT', message, { retryable: false });
}

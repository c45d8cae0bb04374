import { CodedError } from '../errors/coded-error.ts';

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

export class MigrationError extends CodedError<MigrationErrorCode> {
  override readonly name = 'MigrationError';
}

export function badArgument(message: string): MigrationError {
  return new MigrationError('MIGRATION_BAD_ARGUMENT', message, { retryable: false });
}

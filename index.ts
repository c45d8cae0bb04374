/**
 * What others take into their own system: the mixins, the relay, the transporter, their migrations, and what they are made
 * of. `npm pack` builds it to JavaScript with types. README.md shows the 20 lines that a service needs.
 */

export { type Catalogue, createCatalogue } from './events/catalogue.ts';
export { defineEvent, type EventDefinition, type PayloadOf } from './events/definition.ts';
export { type EventEnvelope, envelopeOf, headersOf, MalformedEventError } from './events/envelope.ts';
export { openPool as openInboxPool } from './inbox/database/pool.ts';
export { DeadLetterError, type DeadLetterErrorCode } from './inbox/dead-letters/errors.ts';
export type * from './inbox/dead-letters/letter.ts';
export type { DeadLetters, DiscardReport, LetterDetail } from './inbox/dead-letters/operations.ts';
export type { ReplayOutcome, ReplayReport } from './inbox/dead-letters/replay.ts';
export type {
  DiscardRequest,
  EditRequest,
  LetterAggregate,
  LetterFilter,
  LetterSelection,
  ListRequest,
  ReplayRequest,
} from './inbox/dead-letters/requests.ts';
export { createInbox, type Inbox, type InboxOptions } from './inbox/inbox.ts';
export { InboxConfigError, type InboxRetention } from './inbox/retention/settings.ts';
export { mysqlStore } from './inbox/store/mysql.ts';
export { InboxModeError } from './inbox/store/store.ts';
export { KafkaError, type KafkaErrorCode } from './kafka/errors.ts';
export { createKafkajsPort } from './kafka/kafkajs/index.ts';
export { partitionOf } from './kafka/partitioner.ts';
export { createPlatformaticPort } from './kafka/platformatic/platformatic-port.ts';
export type * from './kafka/port.ts';
export { idempotencyMigrations } from './migrations/idempotency/index.ts';
export { inboxMigrations } from './migrations/inbox/index.ts';
export type { Migration, MigrationContext, MigrationSet } from './migrations/migration.ts';
export { outboxMigrations } from './migrations/outbox/index.ts';
export { migrateDatabase, migrationStatus, rollbackDatabase } from './migrations/run.ts';
export { ensureTopics, positionTopics } from './migrations/topics.ts';
export { askOutbox } from './mixins/ask-outbox.ts';
export { DatabaseMixin, type DatabaseMixinOptions, type DatabaseService } from './mixins/database.ts';
export { InboxMixin, type InboxMixinOptions } from './mixins/inbox.ts';
export {
  OutboxMixin,
  type OutboxMixinOptions,
  type OutboxNudge,
  type OutboxService,
  type TransactionKey,
  type TransactionOptions,
} from './mixins/outbox.ts';
export { idempotencyKeyOf } from './outbox/idempotency/key.ts';
export { decodeToken, encodeToken } from './outbox/token.ts';
export {
  type OutboxOperatorOptions,
  OutboxOperatorService,
  type OutboxOperatorServiceOptions,
} from './relay/operator/operator-service.ts';
export type { RelayOptions, RelaySource } from './relay/options.ts';
export { createRelay, type Relay } from './relay/relay.ts';
export { RelayService, type RelayServiceOptions } from './relay/relay-service.ts';
export { KafkaTransporter, kafkaTransporterOf } from './transporter/kafka-transporter.ts';
export type { KafkaTransporterOptions } from './transporter/options.ts';

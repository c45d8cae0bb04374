import type { Migration } from '../migration.ts';

/**
 * A client's key and the answer that it got, written in the transaction of the change itself: a row that others can see has
 * its answer. fingerprint: SHA-256 of what was asked for; answer: JSON text, NULL for an answer of nothing; token: the
 * consistency token, NULL where nothing was published. Bytes are compared, no collation.
 */
const createKeys = `
CREATE TABLE IF NOT EXISTS idempotency_key (
  scope VARBINARY(128) NOT NULL,
  caller VARBINARY(128) NOT NULL,
  client_key VARBINARY(255) NOT NULL,
  fingerprint BINARY(32) NOT NULL,
  answer MEDIUMBLOB NULL,
  token BLOB NULL,
  created_at DATETIME(3) NOT NULL,
  PRIMARY KEY (scope, caller, client_key),
  KEY idempotency_key_age (created_at)
) ENGINE=InnoDB`;

export const idempotencyTable: Migration = {
  name: 'idempotency/0001-idempotency-table',
  async up(context) {
    await context.query(createKeys);
  },
  async down(context) {
    await context.query('DROP TABLE IF EXISTS idempotency_key');
  },
};

/** What the auditor keeps beside its inbox: a sum that would be wrong for ever by one event lost or doubled. */
export const createTotal = `
CREATE TABLE IF NOT EXISTS total (
  source VARCHAR(64) NOT NULL,
  aggregate_id VARBINARY(255) NOT NULL,
  version BIGINT UNSIGNED NOT NULL,
  applied BIGINT UNSIGNED NOT NULL,
  versions_sum BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (source, aggregate_id)
) ENGINE=InnoDB`;

export const addToTotal = `
INSERT INTO total (source, aggregate_id, version, applied, versions_sum) VALUES ?
ON DUPLICATE KEY UPDATE version = VALUES(version), applied = applied + 1, versions_sum = versions_sum + VALUES(version)`;

/** The effects are kept with the rest of the truth, on the same server and in the same transaction. */
export const insertEffects = (truth: string) => `
INSERT INTO ${truth}.effect (process, at, consumer, source, event_id, aggregate_id, version) VALUES ?`;

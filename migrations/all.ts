import { databaseUrl } from '../config/database-url.ts';
import { type Config, required } from '../config/load.ts';
import { boardSources } from '../events/board.ts';
import { kafkaConnectionOf } from '../kafka/connection.ts';
import { createKafkajsPort } from '../kafka/kafkajs/index.ts';
import { boardDatabases } from './databases.ts';
import { migrateDatabase } from './run.ts';
import { ensureTopics, eventTopics, positionTopics } from './topics.ts';

/** Brings every database of the board up to date, then makes the topics. Throws `MigrationError`. */
export async function migrateAll({ config, log }: { config: Config; log?(message: string): void }): Promise<void> {
  for (const { name, sets } of boardDatabases) {
    await migrateDatabase({ url: databaseUrl(config, name), sets, buckets: config.buckets, log });
  }
  await migrateTopics({ config, log });
}

/** Makes the topics of events and of relays' positions that are missing. */
export async function migrateTopics({ config, log }: { config: Config; log?(message: string): void }): Promise<void> {
  const admin = createKafkajsPort(kafkaConnectionOf(config, required(config, 'kafkaBrokers'))).admin();
  try {
    const { topicPrefix, buckets } = config;
    const topics = [...eventTopics(topicPrefix, boardSources), ...positionTopics(topicPrefix, boardSources, buckets)];
    await ensureTopics({ admin, topics, log });
  } finally {
    await admin.close();
  }
}

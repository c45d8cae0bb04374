import type { Service, ServiceSchema } from 'moleculer';
import type { Config } from '../config/load.ts';
import type { Catalogue } from '../events/catalogue.ts';
import type { InboxEvent, InboxHandler, InboxMode } from '../inbox/types.ts';
import type { KafkaPort } from '../kafka/port.ts';

export type { InboxEvent, InboxHandler, InboxMode, InboxTransaction } from '../inbox/types.ts';

export interface InboxMixinOptions {
  /** The consumer's name: what its inbox rows, watermarks and offsets belong to. The Kafka group is `<topicPrefix>.<group>`. */
  group: string;
  mode: InboxMode;
  topics: readonly string[] | ((config: Config) => readonly string[]);
  catalogue: Catalogue;
  /** Name of the service's database: `<databasePrefix><database>`, `-` as `_`. It has the migration sets `inbox` and its own. */
  database: string;
  /** By event type; `'*'` for all types without one of their own. `this` is the Moleculer service. */
  handlers: Record<string, InboxHandler & ThisType<Service>>;
  /** After the commit and before the next batch of the same partition. `this` is the service. Errors are logged only. */
  afterCommit?(this: Service, events: readonly InboxEvent[]): Promise<unknown> | unknown;
  /** Transactions on the service's Sequelize (`tx.transaction` for models) in place of a mysql2 pool of the inbox's own. */
  sequelize?: boolean;
  /** Partitions worked on at once. Default 4. */
  concurrency?: number;
  /** Events in one transaction at most. Default 500. */
  batchSize?: number;
  /** Default: `loadConfig(process.env)`. */
  config?: Config;
  /** Default: kafkajs with the configuration's brokers. */
  kafka?: (service: Service) => KafkaPort;
}

/**
 * Makes a service a consumer: each event takes effect exactly once, in the order of its stream.
 * Adds the methods `inboxStatus()` and the action `<service>.inboxStatus` (see `InboxStatus` in inbox/status.ts).
 */
export declare function InboxMixin(options: InboxMixinOptions): Partial<ServiceSchema>;

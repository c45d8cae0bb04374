import type { TopicPartition } from '../../kafka/port.ts';
import type { Database } from '../database/database.ts';
import type { InboxMode } from '../types.ts';
import { MysqlStoreTransaction } from './mysql-transaction.ts';
import * as sql from './sql.ts';
import { InboxModeError, type InboxStore, type Position } from './store.ts';

export interface MysqlStoreOptions {
  database: Database;
  /** The consumer's name in `inbox_consumer`. */
  consumer: string;
  mode: InboxMode;
}

/** The inbox's tables (migrations/inbox). Registers the consumer when it is first used. Throws `InboxModeError`. */
export function mysqlStore(options: MysqlStoreOptions): InboxStore {
  const { database } = options;
  let registered: Promise<number> | undefined;

  const consumerId = (): Promise<number> => {
    registered ??= register(options).catch((error) => {
      registered = undefined;
      throw error;
    });
    return registered;
  };

  return {
    async transaction(work) {
      const consumer = await consumerId();
      return database.transaction((tx) => work(new MysqlStoreTransaction(tx, consumer)));
    },
    async offsets(partitions: readonly TopicPartition[]) {
      const wanted = new Set(partitions.map(({ topic, partition }) => `${topic} ${partition}`));
      return (await this.allOffsets()).filter(({ topic, partition }) => wanted.has(`${topic} ${partition}`));
    },
    async allOffsets() {
      type Row = { topic: Buffer; kafka_partition: number; next_offset: string; updated_at_ms: number | string };
      const rows = await database.query<Row>(sql.allOffsets, [await consumerId()]);
      return rows.map((row) => ({
        topic: row.topic.toString(),
        partition: row.kafka_partition,
        offset: BigInt(row.next_offset),
        updatedAt: new Date(Number(row.updated_at_ms)),
      }));
    },
    async resetOffset(position: Position) {
      const { topic, partition, offset } = position;
      await database.query(sql.resetOffset, [await consumerId(), topic, partition, String(offset)]);
    },
    close: () => database.close(),
  };
}

async function register({ database, consumer, mode }: MysqlStoreOptions): Promise<number> {
  type Row = { id: number; mode: string };
  let [row] = await database.query<Row>(sql.findConsumer, [consumer]);
  if (!row) {
    await database.query(sql.registerConsumer, [consumer, mode]);
    [row] = await database.query<Row>(sql.findConsumer, [consumer]);
  }
  if (row!.mode !== mode) throw new InboxModeError(consumer, row!.mode, mode);
  return row!.id;
}

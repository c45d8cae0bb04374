import type { TopicPartition } from '../../kafka/port.ts';
import type { Database } from '../database/database.ts';
import { deadLetterTable } from '../dead-letters/table.ts';
import { retentionTable } from '../retention/table.ts';
import type { InboxMode } from '../types.ts';
import { uuidFromBytes } from './messages.ts';
import { MysqlStoreTransaction } from './mysql-transaction.ts';
import * as sql from './sql.ts';
import { type Gap, InboxModeError, type InboxStore, type Position } from './store.ts';

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
    async gaps(olderThanMs, limit) {
      const id = await consumerId();
      const rows = await database.query<GapRow>(sql.gaps, [id, id, id, olderThanMs * 1000, limit]);
      return rows.map(gapOf);
    },
    async backlog() {
      const id = await consumerId();
      type Row = { parked: number | string; age_ms: number | string | null; dead_letters: number | string };
      const [row] = await database.query<Row>(sql.backlog, [id, id, id]);
      const { parked, age_ms, dead_letters } = row!;
      return { parked: Number(parked), oldestParkedAgeMs: Number(age_ms ?? 0), deadLetters: Number(dead_letters) };
    },
    async register() {
      await consumerId();
    },
    deadLetters: deadLetterTable(database, consumerId),
    retention: retentionTable(database, consumerId),
    close: () => database.close(),
  };
}

interface GapRow {
  source: Buffer;
  aggregate_type: Buffer;
  aggregate_id: Buffer;
  incarnation: Buffer;
  first_parked: string;
  topic: Buffer;
  kafka_partition: number;
  timestamp_ms: number | string;
  waiting: number | string;
  age_ms: number | string;
  applied_incarnation: Buffer;
  applied_version: string;
}

function gapOf(row: GapRow): Gap {
  const sameLine = row.incarnation.equals(row.applied_incarnation);
  return {
    source: row.source.toString(),
    aggregateType: row.aggregate_type.toString(),
    aggregateId: row.aggregate_id.toString(),
    incarnation: uuidFromBytes(row.incarnation),
    version: sameLine ? BigInt(row.applied_version) + 1n : 1n,
    parked: Number(row.waiting),
    firstParked: BigInt(row.first_parked),
    firstParkedAtMs: Number(row.timestamp_ms),
    topic: row.topic.toString(),
    partition: row.kafka_partition,
    ageMs: Number(row.age_ms),
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

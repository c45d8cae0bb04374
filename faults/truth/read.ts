import { databaseName } from '../../config/database-url.ts';
import { boardSources } from '../../events/board.ts';
import { envelopeOf } from '../../events/envelope.ts';
import { until } from '../../testing/until.ts';
import type { World } from '../world/world.ts';

export interface LedgerEntry {
  process: string;
  atMs: number;
  source: string;
  event: string;
  outboxId: string;
  aggregate: string;
  version: number;
  type: string;
  payload: Record<string, unknown>;
}

export interface StoredEntry {
  /** The broker's time. */
  atMs: number;
  source: string;
  partition: number;
  offset: number;
  event: string;
  aggregate: string;
  version: number;
}

export interface ConsumedEntry {
  process: string;
  atMs: number;
  consumer: string;
  kind: 'recorded' | 'parked' | 'dead' | 'watermark' | 'offset';
  event: string | null;
  source: string | null;
  aggregate: string | null;
  version: number | null;
  partition: number | null;
  offset: number | null;
}

export interface EffectEntry {
  process: string;
  atMs: number;
  consumer: string;
  source: string;
  event: string | null;
  aggregate: string;
  version: number;
}

/** All that is known at the end: read by the harness itself from databases and topics. */
export interface Observed {
  ledger: LedgerEntry[];
  marks: { process: string; atMs: number; source: string; outboxId: string; bucket: number }[];
  leases: {
    process: string;
    atMs: number;
    source: string;
    bucket: number;
    owner: string | null;
    epoch: number;
    early: boolean;
  }[];
  stored: StoredEntry[];
  consumed: ConsumedEntry[];
  effects: EffectEntry[];
  /** Changes of the producers' own tables, by "source article". */
  domainChanges: Map<string, number>;
  /** Views by article, added up from the flushes. */
  flushedViews: Map<string, number>;
  unsent: { source: string; outboxId: string }[];
  parked: { consumer: string; source: string; aggregate: string; version: number }[];
  totals: { source: string; aggregate: string; version: number; applied: number; sum: number }[];
  hotVersions: { source: string; aggregate: string; version: number }[];
  positions: { consumer: string; source: string; partition: number; stored: number; end: number }[];
}

type Row = Record<string, Buffer | string | number | null>;

export async function observe(world: World): Promise<Observed> {
  const { truth } = world;
  const { of, auditor } = truth.databases;
  const table = (name: string) => truth.rows<Row>(`SELECT * FROM ${truth.table(name)} ORDER BY seq`);
  const [ledger, marks, leases, consumed, effects] = await Promise.all(
    ['ledger', 'mark', 'lease', 'consumed', 'effect'].map(table),
  );
  const changes = await truth.rows<Row>(
    `SELECT source, article_id, COUNT(*) AS n FROM ${truth.table('domain_change')} GROUP BY source, article_id`,
  );
  const flushes = await truth.rows<Row>(
    `SELECT article_id, SUM(views) AS n FROM ${of('view')}.view_flush GROUP BY article_id`,
  );
  const unsent = (
    await Promise.all(
      boardSources.map(async (source) =>
        (
          await truth.rows<Row>(`SELECT id FROM ${of(source)}.outbox_pending`)
        ).map(({ id }) => ({
          source,
          outboxId: String(id),
        })),
      ),
    )
  ).flat();
  const totals = await truth.rows<Row>(`SELECT * FROM ${auditor}.total`);
  const hot = await truth.rows<Row>(`SELECT * FROM ${databaseName(world.config, 'hot-article')}.hot_article`);
  return {
    ledger: ledger!.map((row) => ({
      ...common(row),
      source: String(row.source),
      event: uuid(row.event_id)!,
      outboxId: String(row.outbox_id),
      aggregate: String(row.aggregate_id),
      version: Number(row.version),
      type: String(row.event_type),
      payload: JSON.parse(String(row.payload)),
    })),
    marks: marks!.map((row) => ({
      ...common(row),
      source: String(row.source),
      outboxId: String(row.outbox_id),
      bucket: Number(row.bucket),
    })),
    leases: leases!.map((row) => ({
      ...common(row),
      source: String(row.source),
      bucket: Number(row.bucket),
      owner: row.owner === null ? null : String(row.owner),
      epoch: Number(row.epoch),
      early: Number(row.early) === 1,
    })),
    stored: await readTopics(world),
    consumed: consumed!.map((row) => ({
      ...common(row),
      consumer: String(row.consumer),
      kind: row.kind as ConsumedEntry['kind'],
      event: uuid(row.event_id),
      source: row.source === null ? sourceOfTopic(row.topic) : String(row.source),
      aggregate: row.aggregate_id === null ? null : String(row.aggregate_id),
      version: row.version === null ? null : Number(row.version),
      partition: row.kafka_partition === null ? null : Number(row.kafka_partition),
      offset: row.kafka_offset === null ? null : Number(row.kafka_offset),
    })),
    effects: effects!.map((row) => ({
      ...common(row),
      consumer: String(row.consumer),
      source: String(row.source),
      event: uuid(row.event_id),
      aggregate: String(row.aggregate_id),
      version: Number(row.version),
    })),
    domainChanges: new Map(changes.map(({ source, article_id, n }) => [`${source} ${article_id}`, Number(n)])),
    flushedViews: new Map(flushes.map(({ article_id, n }) => [String(article_id), Number(n)])),
    unsent,
    parked: (await Promise.all(consumersOf(world).map((consumer) => readParked(world, consumer)))).flat(),
    totals: totals.map((row) => ({
      source: String(row.source),
      aggregate: String(row.aggregate_id),
      version: Number(row.version),
      applied: Number(row.applied),
      sum: Number(row.versions_sum),
    })),
    hotVersions: hot.flatMap((row) =>
      boardSources.map((source) => ({
        source,
        aggregate: String(row.article_id),
        version: Number(row[`${source}_version`]),
      })),
    ),
    positions: await readPositions(world),
  };
}

function common(row: Row): { process: string; atMs: number } {
  return { process: String(row.process), atMs: Date.parse(`${String(row.at).replace(' ', 'T')}Z`) };
}

function uuid(bytes: Row[string] | undefined): string | null {
  if (!Buffer.isBuffer(bytes)) return null;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function sourceOfTopic(topic: Row[string] | undefined): string | null {
  return topic === null || topic === undefined ? null : String(topic).split('.').at(-1)!;
}

/** Every message of the four topics, read by a client that has no part in the board. */
async function readTopics(world: World): Promise<StoredEntry[]> {
  const stored: StoredEntry[] = [];
  const ends = new Map<string, number>();
  const next = new Map<string, number>();
  const topics = boardSources.map((source) => `${world.config.topicPrefix}.${source}`);
  for (const topic of topics) {
    for (const { partition, end } of await world.admin.offsets(topic)) ends.set(`${topic} ${partition}`, Number(end));
  }
  const partitions = [...ends.keys()].map((key) => {
    const [topic, partition] = key.split(' ') as [string, string];
    return { topic, partition: Number(partition), from: 'beginning' as const };
  });
  const reader = world.kafka.reader({
    partitions,
    onMessages(messages) {
      for (const message of messages) {
        const key = `${message.topic} ${message.partition}`;
        const offset = Number(message.offset);
        if (offset < (next.get(key) ?? 0)) continue;
        next.set(key, offset + 1);
        const { eventId, aggregateId, version } = envelopeOf(message);
        const source = sourceOfTopic(message.topic)!;
        const { partition, timestampMs } = message;
        stored.push({
          atMs: timestampMs,
          source,
          partition,
          offset,
          event: eventId,
          aggregate: aggregateId,
          version: Number(version),
        });
      }
    },
  });
  await reader.start();
  try {
    const missing = () => [...ends].filter(([key, end]) => (next.get(key) ?? 0) < end);
    await until('the topics are read to their ends', 60_000, () => missing().length === 0);
  } finally {
    await reader.stop();
  }
  return stored;
}

interface ConsumerDatabase {
  consumer: string;
  database: string;
}

function consumersOf(world: World): ConsumerDatabase[] {
  const { of, auditor } = world.truth.databases;
  return [
    { consumer: 'hot-article', database: of('hot-article') },
    { consumer: 'auditor', database: auditor },
  ];
}

async function readParked(world: World, { consumer, database }: ConsumerDatabase): Promise<Observed['parked']> {
  const rows = await world.truth.rows<Row>(`SELECT source, aggregate_id, version FROM ${database}.inbox_parked`);
  return rows.map((row) => ({
    consumer,
    source: String(row.source),
    aggregate: String(row.aggregate_id),
    version: Number(row.version),
  }));
}

async function readPositions(world: World): Promise<Observed['positions']> {
  const positions: Observed['positions'] = [];
  for (const { consumer, database } of consumersOf(world)) {
    const rows = await world.truth.rows<Row>(
      `SELECT topic, kafka_partition, next_offset FROM ${database}.inbox_offset`,
    );
    const stored = new Map(rows.map((row) => [`${row.topic} ${row.kafka_partition}`, Number(row.next_offset)]));
    for (const source of boardSources) {
      const topic = `${world.config.topicPrefix}.${source}`;
      for (const { partition, end } of await world.admin.offsets(topic)) {
        positions.push({
          consumer,
          source,
          partition,
          stored: stored.get(`${topic} ${partition}`) ?? 0,
          end: Number(end),
        });
      }
    }
  }
  return positions;
}

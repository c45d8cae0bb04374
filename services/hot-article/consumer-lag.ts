import { sqlTime } from '../../database/sql-time.ts';
import type { HotStore } from './hot-store.ts';
import type { Sql } from './sql.ts';

/** How far one projector is, as it tells readers. */
export interface LagReport {
  /** Ms since the oldest event that is not applied, by `topic/partition`; only partitions whose lag is known. */
  partitions: Record<string, number>;
  /** For how long Redis has not had what MySQL has; 0 where it has all. */
  unwrittenMs: number;
}

export interface AgedReport extends LagReport {
  ageMs: number;
}

/** What all projectors together say. */
export interface ConsumerLag {
  /** Of what is known; null where nothing is. */
  lagMs: number | null;
  /** No partition is missing. */
  complete: boolean;
  /** For how long Redis has not had what MySQL has; for lists that come from Redis. */
  unwrittenMs: number;
}

const forgetMs = 60_000;

const writeReport = `
INSERT INTO hot_consumer_lag (node_id, published_at, lags) VALUES (?, UTC_TIMESTAMP(3), ?)
ON DUPLICATE KEY UPDATE published_at = VALUES(published_at), lags = VALUES(lags)`;
const deleteOldReports = 'DELETE FROM hot_consumer_lag WHERE published_at < ?';
const selectReports = `
SELECT node_id, lags, TIMESTAMPDIFF(MICROSECOND, published_at, UTC_TIMESTAMP(3)) / 1000 AS age_ms FROM hot_consumer_lag`;

/** Tells readers through Redis, and through MySQL where Redis is away. */
export async function publishLag(
  { store, database, nowMs }: { store: HotStore; database: Sql; nowMs(): number },
  nodeId: string,
  report: LagReport,
): Promise<void> {
  const json = JSON.stringify(report);
  try {
    await store.publishLag(nodeId, json, forgetMs);
  } catch {
    await database.write(writeReport, [nodeId, json]);
    await database.write(deleteOldReports, [sqlTime(nowMs() - forgetMs)]);
  }
}

export async function lagFromRedis(store: HotStore): Promise<AgedReport[]> {
  return (await store.readLag()).map(({ ageMs, json }) => ({ ...(JSON.parse(json) as LagReport), ageMs }));
}

export async function lagFromMysql(sql: Sql): Promise<AgedReport[]> {
  const rows = await sql.query<{ lags: string; age_ms: string }>(selectReports);
  return rows.map(({ lags, age_ms }) => ({ ...(JSON.parse(lags) as LagReport), ageMs: Number(age_ms) }));
}

/** Reports older than `trustedMs` say nothing. Where two nodes tell of one partition, the worse counts. */
export function combineLag(
  reports: readonly AgedReport[],
  expected: readonly string[],
  trustedMs: number,
): ConsumerLag {
  const partitions = new Map<string, number>();
  let lagMs: number | null = null;
  let unwrittenMs = 0;
  for (const report of reports) {
    if (report.ageMs > trustedMs) continue;
    unwrittenMs = Math.max(unwrittenMs, report.unwrittenMs);
    for (const [name, ms] of Object.entries(report.partitions)) {
      partitions.set(name, Math.max(partitions.get(name) ?? 0, ms));
      lagMs = Math.max(lagMs ?? 0, ms);
    }
  }
  return { lagMs, complete: expected.every((name) => partitions.has(name)), unwrittenMs };
}

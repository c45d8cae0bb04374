import type { BlockedStore } from './blocked/store.ts';
import type { BucketLoop } from './delivery/bucket-loop.ts';
import { isLive } from './lease/decide.ts';
import type { LeaseTable } from './lease/types.ts';
import type { RelayMetrics } from './metrics.ts';
import type { Backlog } from './sources/store.ts';
import type { BucketStatus, ErrorNote, KeyStatus, SourceState, SourceStatus } from './status.ts';

/** What is known of each bucket of a source, put together for `relay.status`. */
export function bucketStatuses(known: {
  table: LeaseTable | null;
  held: ReadonlySet<number>;
  loopOf(bucket: number): BucketLoop['status'] | null;
  backlog: Backlog | null;
  abandoned: readonly number[];
}): BucketStatus[] {
  return (known.table?.leases ?? []).map((lease) => {
    const { bucket, epoch } = lease;
    const loop = known.loopOf(bucket);
    return {
      bucket,
      owner: isLive(lease) ? lease.owner : null,
      epoch,
      leaseRemainingMs: isLive(lease) ? Math.round(lease.remainingMs) : 0,
      heldHere: known.held.has(bucket),
      state: loop?.state ?? null,
      heldKeys: loop?.heldKeys ?? 0,
      blockedKeys: loop?.blockedKeys.length ?? 0,
      oldestUnsentAgeMs: known.backlog?.oldestMs.get(bucket) ?? 0,
      abandoned: known.abandoned.includes(bucket),
      lastError: noteOf(loop?.lastError ?? null),
    };
  });
}

/** Keys on a status page at most. */
const listedKeys = 100;

export async function keyStatuses(store: BlockedStore): Promise<KeyStatus[]> {
  return (await store.listBlocked(listedKeys)).map(({ aggregateId, dueInMs, ...key }) => ({
    ...key,
    key: aggregateId,
    blockedForMs: Math.round(key.blockedForMs),
    nextAttemptInMs: key.state === 'blocked' ? Math.max(0, Math.round(dueInMs)) : null,
  }));
}

export function noteOf(error: { message: string; code: string; atMs: number } | null): ErrorNote | null {
  return error && { code: error.code, message: error.message, at: new Date(error.atMs).toISOString() };
}

export function newest(notes: readonly (ErrorNote | null)[]): ErrorNote | null {
  return notes.reduce((best, note) => (note && (!best || note.at > best.at) ? note : best), null);
}

export function countsOf({ oldestMs, ...counts }: Backlog): SourceStatus['backlog'] {
  return counts;
}

export function oldestMs(backlog: Backlog): number {
  return Math.max(0, ...backlog.oldestMs.values());
}

export function setGauges(
  metrics: RelayMetrics,
  source: string,
  known: { backlog: Backlog; unownedWithWork: number; heldKeys: number },
): void {
  const { backlog, unownedWithWork, heldKeys } = known;
  const { pending: unsent, blocked, dead, blockedKeys, deadKeys } = backlog;
  const values = { unsent, blocked, dead, blockedKeys, deadKeys, oldestUnsentAge: oldestMs(backlog) };
  for (const [name, value] of Object.entries({ ...values, unownedWithWork, heldKeys })) {
    metrics.set(name as keyof typeof values, { source }, value);
  }
}

/** One line for each thing that is wrong with a source. */
export function problemsOf(known: {
  source: string;
  state: SourceState;
  lastError: ErrorNote | null;
  deadKeys: number;
  abandoned: readonly number[];
  loops: ReadonlyMap<number, Pick<BucketLoop, 'status'>>;
  retention: string | null;
}): string[] {
  const { source, state, lastError, deadKeys, abandoned, loops, retention } = known;
  const problems: string[] = [];
  if (state === 'waiting' || state === 'refused') {
    problems.push(`${source}: ${state}${lastError ? ` (${lastError.message})` : ''}`);
  }
  if (deadKeys > 0) problems.push(`${source}: ${deadKeys} dead keys wait for an operator (relay.status, outbox.list)`);
  for (const bucket of abandoned) problems.push(`${source}.${bucket}: work waits and nobody has it`);
  for (const [bucket, { status }] of loops) {
    const { state: doing, lastError: last } = status;
    if (doing === 'waiting to retry') problems.push(`${source}.${bucket}: ${last?.code} ${last?.message}`);
    if (doing === 'lease in doubt') problems.push(`${source}.${bucket}: lease in doubt`);
  }
  if (retention !== null) problems.push(retention);
  return problems;
}

import { murmur2 } from '../../kafka/partitioner.ts';
import type { Lease, LeaseTable } from './types.ts';

export interface Situation {
  source: string;
  me: string;
  table: Pick<LeaseTable, 'leases' | 'members'>;
  /** Buckets of mine that are being given back, or whose former work is not finished yet: neither kept nor taken. */
  giving: ReadonlySet<number>;
  /** On the way out: take nothing, give everything back. */
  leaving: boolean;
}

export interface Decision {
  /** Live leases of mine, those that are being given back included. */
  mine: Lease[];
  acquire: number[];
  release: number[];
}

/** What to take and what to give back. */
export function decide(situation: Situation): Decision {
  const { me, table, giving, leaving } = situation;
  const mine = table.leases.filter((lease) => lease.owner === me && isLive(lease));
  const kept = mine.filter((lease) => !giving.has(lease.bucket)).map((lease) => lease.bucket);
  if (leaving) return { mine, acquire: [], release: kept };
  const share = shares(situation).get(me)!;
  if (kept.length >= share) return { mine, acquire: [], release: kept.slice(share) };
  const free = table.leases.filter((lease) => !isLive(lease) && !giving.has(lease.bucket)).map((lease) => lease.bucket);
  return { mine, acquire: rotated(free, situation).slice(0, share - kept.length), release: [] };
}

/**
 * How many buckets each live member should have. They add up to all buckets, and everybody who sees the same table comes to
 * the same answer.
 */
export function shares({ source, me, table }: Pick<Situation, 'source' | 'me' | 'table'>): Map<string, number> {
  const owned = new Map<string, number>();
  for (const lease of table.leases) {
    if (lease.owner !== null && isLive(lease)) owned.set(lease.owner, (owned.get(lease.owner) ?? 0) + 1);
  }
  const members = liveMembers(table, me).sort(
    (a, b) => (owned.get(b) ?? 0) - (owned.get(a) ?? 0) || rank(source, a) - rank(source, b) || (a < b ? -1 : 1),
  );
  const each = Math.floor(table.leases.length / members.length);
  const rest = table.leases.length % members.length;
  return new Map(members.map((member, index) => [member, each + (index < rest ? 1 : 0)]));
}

export function isLive(lease: Lease): boolean {
  return lease.owner !== null && lease.remainingMs > 0;
}

/** Somebody has taken himself off the list and is about to give back what he has: it is worth looking more often. */
export function isSomebodyLeaving({ leases, members }: Situation['table']): boolean {
  const staying = new Set(members.filter((member) => member.remainingMs > 0).map((member) => member.id));
  return leases.some((lease) => isLive(lease) && !staying.has(lease.owner!));
}

/** By the table that this lease was read from. */
export function isMine(lease: Lease, me: string, { bucket, epoch }: Pick<Lease, 'bucket' | 'epoch'>): boolean {
  return lease.bucket === bucket && lease.epoch === epoch && lease.owner === me && isLive(lease);
}

function liveMembers(table: Situation['table'], me: string): string[] {
  const ids = new Set(table.members.filter((member) => member.remainingMs > 0).map((member) => member.id));
  ids.add(me);
  return [...ids];
}

/** Relays that start together begin at different places, so that they seldom want the same bucket. */
function rotated(free: number[], { source, me, table }: Situation): number[] {
  if (free.length === 0) return free;
  const order = liveMembers(table, me).sort((a, b) => rank(source, a) - rank(source, b) || (a < b ? -1 : 1));
  const start = Math.floor((order.indexOf(me) * free.length) / order.length);
  return [...free.slice(start), ...free.slice(0, start)];
}

function rank(source: string, member: string): number {
  return murmur2(Buffer.from(`${source} ${member}`)) >>> 0;
}

/** One bucket's lease, as one read saw it. */
export interface Lease {
  bucket: number;
  /** Null where nobody has it. Somebody's name with `remainingMs` of 0 or less: it is over. */
  owner: string | null;
  epoch: number;
  /** What is left of it by the database's clock, in ms. */
  remainingMs: number;
}

export interface Member {
  id: string;
  remainingMs: number;
}

/** Leases and members of one source at one moment of the database's clock. */
export interface LeaseTable {
  leases: readonly Lease[];
  members: readonly Member[];
  /** The database's time of day, ms since 1970: for figures only. */
  databaseMs: number;
  /** From `outbox_meta`: changes when the database is made anew. */
  incarnation: string;
  buckets: number;
}

/** What is asked of a source's lease tables. Each is one statement that commits by itself; all throw `SourceError`. */
export interface LeaseStore {
  readLeases(): Promise<LeaseTable>;
  /** Creates or renews a member row. */
  heartbeat(member: string, ttlMs: number): Promise<void>;
  /** Renews everything that this owner still has. */
  renew(owner: string, leaseMs: number): Promise<void>;
  /** Takes those of the buckets whose leases are over, and raises their epochs. */
  acquire(owner: string, buckets: readonly number[], leaseMs: number): Promise<void>;
  /** Ends a term that this owner still has; another term stays as it is. */
  release(owner: string, bucket: number, epoch: number): Promise<void>;
  /** Removes the member row. */
  leave(member: string): Promise<void>;
}

/** A bucket that is mine: named by (bucket, epoch). */
export interface Term {
  readonly bucket: number;
  readonly epoch: number;
  /** May I still act on it? To be asked just before each send. */
  isTrusted(): boolean;
}

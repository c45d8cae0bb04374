import type { PendingRow } from '../sources/store.ts';

/** The term that allows a change: every one of these statements is refused where the lease has another owner or epoch. */
export interface Fence {
  bucket: number;
  owner: string;
  epoch: number;
}

/**
 * `blocked`: waits for its next attempt. `dead`: waits for an operator. `unblocking`: its event was sent, its rows are on
 * their way back.
 */
export type BlockedState = 'blocked' | 'dead' | 'unblocking';

/** A key whose first event fails: a row of `outbox_blocked`. */
export interface BlockedKey {
  keyHash: string;
  /** Empty where it is not known (the event is missing). */
  aggregateId: string;
  state: BlockedState;
  /** Failures since it was blocked, or since an operator gave it a new start; counted for all relays together. */
  attempts: number;
  /** What is left until the next attempt, by the database's clock; 0 or less: now. */
  dueInMs: number;
  /** The row whose event fails. */
  rowId: string | null;
  errorCode: string | null;
  lastError: string | null;
}

/** What an operator wants done to a blocked key: a row of `outbox_audit`. */
export interface OperatorRequest {
  id: string;
  keyHash: string;
  action: 'retry' | 'drop' | 'edit';
  rowId: string | null;
  reason: string | null;
}

/** States of a row in `outbox_pending`. */
export const rowStates = { pending: 0, blocked: 1, dead: 2 } as const;
export type RowState = keyof typeof rowStates;

/** The state of the key whose rows belong there. */
export const keyStateOfRows = { pending: 'unblocking', blocked: 'blocked', dead: 'dead' } as const satisfies Record<
  RowState,
  BlockedState
>;

/**
 * Blocked keys in the source's database. What takes a fence is one transaction that begins by checking it and holds the lease
 * row until its end, so that nobody takes the bucket over in between; it throws `SOURCE_NOT_OWNER` where the term is over. Each
 * can be repeated after an answer that was lost. All throw `SourceError`.
 */
export interface BlockedStore {
  readBlocked(bucket: number): Promise<BlockedKey[]>;
  /** Of all buckets, those that were blocked first. */
  listBlocked(limit: number): Promise<(BlockedKey & { bucket: number; blockedForMs: number })[]>;
  /** Creates or overwrites what is known of these keys; a request stays. */
  saveBlocked(fence: Fence, keys: readonly BlockedKey[]): Promise<void>;
  /** Brings rows of these keys into a state, the oldest first. Answers how many; fewer than `limit`: there are no more. */
  moveRows(fence: Fence, keyHashes: readonly string[], to: RowState, limit: number): Promise<number>;
  /** The oldest row of each of these keys that is not in the state `pending`. */
  firstBlockedRows(bucket: number, keyHashes: readonly string[]): Promise<PendingRow[]>;
  /** Forgets keys that are `unblocking`. Answers those that stay, as there is a request that came meanwhile. */
  forgetBlocked(fence: Fence, keyHashes: readonly string[]): Promise<string[]>;
  readRequests(bucket: number): Promise<OperatorRequest[]>;
  /**
   * Does what is wanted and closes the request; a key that is left blocked begins anew, at once. Answers what is known of the
   * key afterwards, null where it is not blocked.
   */
  carryOut(fence: Fence, request: OperatorRequest): Promise<BlockedKey | null>;
  /**
   * Puts an event of type `Skipped` into the place of a blocked key's failing one; the key begins anew, at once. False where that can't be
   * done: the event is missing, and what it belonged to can't be found out.
   */
  skipEvent(fence: Fence, skipped: { keyHash: string; rowId: string; who: string; reason: string }): Promise<boolean>;
}

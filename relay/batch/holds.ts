/** What failed as one thing and is tried again as one thing: a partition of a topic. */
export type HoldCause = string;

interface Hold {
  attempts: number;
  notBeforeMs: number;
  keyHashes: Set<string>;
}

export interface BackoffSettings {
  firstMs: number;
  longestMs: number;
}

/** Doubles from the first pause up to the longest. `attempts`: failures in a row, 1 or more. */
export function backoffMs(attempts: number, { firstMs, longestMs }: BackoffSettings): number {
  return Math.min(longestMs, firstMs * 2 ** Math.min(attempts - 1, 30));
}

/**
 * Keys of a bucket whose events wait because their partition failed. All of a key's rows wait together, the later ones too:
 * that keeps its order. The rows stay where they are in the table; reads of the head and the plan leave them out. (A key whose
 * event fails for its own sake is blocked in the database: ../blocked/keys.ts.)
 */
export class Holds {
  readonly #holds = new Map<HoldCause, Hold>();
  readonly #causeOfKey = new Map<string, HoldCause>();

  get keys(): number {
    return this.#causeOfKey.size;
  }

  causes(): HoldCause[] {
    return [...this.#holds.keys()];
  }

  /** It failed (again): these keys wait, longer each time. Answers for how long, and how often in a row it has failed. */
  fail(
    cause: HoldCause,
    keyHashes: Iterable<string>,
    nowMs: number,
    backoff: BackoffSettings,
  ): { pauseMs: number; attempts: number } {
    const hold = this.#holds.get(cause) ?? { attempts: 0, notBeforeMs: 0, keyHashes: new Set() };
    this.#holds.set(cause, hold);
    hold.attempts++;
    const pauseMs = backoffMs(hold.attempts, backoff);
    hold.notBeforeMs = nowMs + pauseMs;
    for (const keyHash of keyHashes) this.#join(cause, hold, keyHash);
    return { pauseMs, attempts: hold.attempts };
  }

  /** Does this cause wait now? */
  isWaiting(cause: HoldCause, nowMs: number): boolean {
    const hold = this.#holds.get(cause);
    return hold !== undefined && nowMs < hold.notBeforeMs;
  }

  /** One more key that the cause holds up. */
  join(cause: HoldCause, keyHash: string): void {
    const hold = this.#holds.get(cause);
    if (hold) this.#join(cause, hold, keyHash);
  }

  isHeld(keyHash: string, nowMs: number): boolean {
    return this.heldUntilMs(keyHash, nowMs) !== null;
  }

  /** When the key may be tried again; null where it may be now. */
  heldUntilMs(keyHash: string, nowMs: number): number | null {
    const hold = this.#holds.get(this.#causeOfKey.get(keyHash) ?? '');
    return hold !== undefined && nowMs < hold.notBeforeMs ? hold.notBeforeMs : null;
  }

  /** Keys that wait now, at most so many. */
  heldKeys(nowMs: number, limit: number): string[] {
    const held: string[] = [];
    for (const keyHash of this.#causeOfKey.keys()) {
      if (held.length >= limit) break;
      if (this.isHeld(keyHash, nowMs)) held.push(keyHash);
    }
    return held;
  }

  /** It works again: nothing waits for it any more. */
  succeed(cause: HoldCause): void {
    const hold = this.#holds.get(cause);
    if (!hold) return;
    for (const keyHash of hold.keyHashes) {
      if (this.#causeOfKey.get(keyHash) === cause) this.#causeOfKey.delete(keyHash);
    }
    this.#holds.delete(cause);
  }

  /** When the next of them may be tried again; null where nothing waits. */
  nextTryMs(nowMs: number): number | null {
    let next: number | null = null;
    for (const { notBeforeMs } of this.#holds.values()) {
      if (notBeforeMs > nowMs && (next === null || notBeforeMs < next)) next = notBeforeMs;
    }
    return next;
  }

  #join(cause: HoldCause, hold: Hold, keyHash: string): void {
    hold.keyHashes.add(keyHash);
    this.#causeOfKey.set(keyHash, cause);
  }
}

/** The margin between the end of my belief in a lease and its end: for clocks that run at different speeds. */
export function marginMs(leaseMs: number): number {
  return leaseMs / 10;
}

/**
 * Until when a lease may be believed in, on this process's monotonic clock. `readStartedMs` is the time just before the
 * statement that said `remainingMs`: the database took its own time later than that, so the belief ends first.
 */
export function trustedUntilMs(readStartedMs: number, remainingMs: number, leaseMs: number): number {
  return readStartedMs + remainingMs - marginMs(leaseMs);
}

/** Pause until the next round: a look at the table, a renewal that is due, or the end of somebody else's lease. */
export function pauseMs(round: {
  nowMs: number;
  readStartedMs: number;
  renewalDueMs: number;
  observeMs: number;
  /** What was left of the leases and memberships of others. */
  foreignRemainingMs: readonly number[];
}): number {
  const ends = round.foreignRemainingMs
    .filter((remainingMs) => remainingMs > 0)
    .map((remainingMs) => round.readStartedMs + remainingMs + afterEndMs - round.nowMs);
  return Math.max(shortestPauseMs, Math.min(round.observeMs, round.renewalDueMs - round.nowMs, ...ends));
}

const afterEndMs = 5;
const shortestPauseMs = 10;

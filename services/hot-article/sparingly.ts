/** Passes on each message at most once in `everyMs`, with how many were left out: an outage makes thousands. */
export function sparingly(
  everyMs: number,
  log: (what: string, error: unknown) => void,
  nowMs: () => number = () => performance.now(),
): (what: string, error: unknown) => void {
  const said = new Map<string, { atMs: number; leftOut: number }>();
  return (what, error) => {
    const last = said.get(what);
    if (last !== undefined && nowMs() - last.atMs < everyMs) {
      last.leftOut++;
      return;
    }
    said.set(what, { atMs: nowMs(), leftOut: 0 });
    log(last?.leftOut ? `${what} (and ${last.leftOut} times before)` : what, error);
  };
}

/** When a crashed process is started again: 0.5 s, 1 s, 2 s … up to 30 s; a run of a minute makes it start over. */
export interface RestartBackoff {
  /** The pause before the next start, in ms, given how long the last run took. */
  next(ranMs: number): number;
}

const firstMs = 500;
const longestMs = 30_000;
const steadyMs = 60_000;

export function restartBackoff(): RestartBackoff {
  let pauseMs = 0;
  return {
    next(ranMs) {
      pauseMs = ranMs >= steadyMs || pauseMs === 0 ? firstMs : Math.min(pauseMs * 2, longestMs);
      return pauseMs;
    },
  };
}

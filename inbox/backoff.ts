/** Waits before the attempt after `failures` failed ones: doubling from `firstMs` to `longestMs`, less up to a half at random. */
export function backoffMs(failures: number, firstMs: number, longestMs: number, random: () => number): number {
  const full = Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return full * (1 - random() / 2);
}

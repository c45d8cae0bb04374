/**
 * Picks an index below `count`, small ones far more often than large ones (Zipf's law with exponent 1): few articles get
 * most of the attention, as on a real board. `random` is uniform in [0, 1).
 */
export function zipfIndex(count: number, random: () => number): number {
  // inverse of the harmonic series' integral: good enough for a demo, and without a table
  return Math.min(count - 1, Math.floor((count + 1) ** random()) - 1);
}

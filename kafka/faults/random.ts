import { createHash } from 'node:crypto';

/** Numbers that depend on the seed alone, so that a run of the suite can be had again. */
export class SeededRandom {
  readonly #seed: string;
  #count = 0;

  constructor(seed: string | number) {
    this.#seed = String(seed);
  }

  /** At least 0, below 1. */
  next(): number {
    const digest = createHash('sha256')
      .update(`${this.#seed}/${this.#count++}`)
      .digest();
    return digest.readUInt32BE(0) / 2 ** 32;
  }

  /** A whole number, both ends included. */
  between(lowest: number, highest: number): number {
    return lowest + Math.floor(this.next() * (highest - lowest + 1));
  }

  shuffled<Item>(items: readonly Item[]): Item[] {
    return items
      .map((item) => ({ item, at: this.next() }))
      .sort((a, b) => a.at - b.at)
      .map(({ item }) => item);
  }
}

export interface BatchesOptions<Item, Answer> {
  /** Does all items of a key and answers each in the same order. What it throws is the answer to all of them. */
  run(key: string, items: readonly Item[]): Promise<readonly Answer[]>;
  /** Items of one run at most. */
  maxItems: number;
}

interface Waiting<Item, Answer> {
  item: Item;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/**
 * One run at a time for each key; what arrives meanwhile goes together into the next. So a key that everybody wants costs
 * one connection and few commits, in place of a queue of transactions that wait for one row and hold up all other keys.
 */
export class KeyedBatches<Item, Answer> {
  readonly #options: BatchesOptions<Item, Answer>;
  /** An entry for each key that is running; its list is what waits. */
  readonly #waiting = new Map<string, Waiting<Item, Answer>[]>();

  constructor(options: BatchesOptions<Item, Answer>) {
    this.#options = options;
  }

  add(key: string, item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const entry = { item, resolve, reject };
      const waiting = this.#waiting.get(key);
      if (waiting !== undefined) {
        waiting.push(entry);
        return;
      }
      this.#waiting.set(key, [entry]);
      void this.#runAll(key);
    });
  }

  async #runAll(key: string): Promise<void> {
    const waiting = this.#waiting.get(key)!;
    while (waiting.length > 0) {
      const batch = waiting.splice(0, this.#options.maxItems);
      try {
        const answers = await this.#options.run(
          key,
          batch.map(({ item }) => item),
        );
        for (const [index, { resolve }] of batch.entries()) resolve(answers[index]!);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#waiting.delete(key);
  }
}

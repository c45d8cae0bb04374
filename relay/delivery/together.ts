interface Waiting<Ask, Answer> {
  ask: Ask;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/**
 * Calls of one kind, of several buckets, in one statement. One is under way at a time; those that come meanwhile, and those
 * of one moment (a nudge wakes several loops), go together as the next. So the busier a source is with single events, the
 * fewer statements it takes for each. `run` answers in the order of its asks; where it fails, all of them fail.
 */
export class Together<Ask, Answer> {
  readonly #run: (asks: readonly Ask[]) => Promise<readonly Answer[]>;
  readonly #largest: number;
  #waiting: Waiting<Ask, Answer>[] = [];
  #busy = false;

  constructor(run: (asks: readonly Ask[]) => Promise<readonly Answer[]>, largest: number) {
    this.#run = run;
    this.#largest = largest;
  }

  ask(ask: Ask): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ask, resolve, reject });
      if (!this.#busy) void this.#work();
    });
  }

  async #work(): Promise<void> {
    this.#busy = true;
    await null; // the others of this moment
    while (this.#waiting.length > 0) {
      const asked = this.#waiting.splice(0, this.#largest);
      try {
        const answers = await this.#run(asked.map(({ ask }) => ask));
        for (const [index, { resolve }] of asked.entries()) resolve(answers[index]!);
      } catch (error) {
        for (const { reject } of asked) reject(error);
      }
    }
    this.#busy = false;
  }
}

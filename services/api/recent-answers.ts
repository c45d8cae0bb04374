/**
 * Answers that are given again, as text, to whoever asks for the same in the next few milliseconds: only for those that say
 * themselves of when they are.
 */
export class RecentAnswers {
  readonly #options: { forMs: number; kept: number; monotonicMs(): number };
  /** Oldest first. */
  readonly #answers = new Map<string, { text: string; untilMs: number }>();

  /** `kept`: so many addresses at most. */
  constructor(options: { forMs: number; kept: number; monotonicMs(): number }) {
    this.#options = options;
  }

  get(url: string): string | undefined {
    const known = this.#answers.get(url);
    return known !== undefined && this.#options.monotonicMs() < known.untilMs ? known.text : undefined;
  }

  put(url: string, text: string): void {
    this.#answers.delete(url);
    this.#answers.set(url, { text, untilMs: this.#options.monotonicMs() + this.#options.forMs });
    if (this.#answers.size <= this.#options.kept) return;
    const [oldest] = this.#answers.keys();
    this.#answers.delete(oldest!);
  }
}

/**
 * Keeps callers from waiting for something that is away: after a failure calls are refused at once for a while, which doubles
 * with each further failure; then one call is let through to see.
 */
export class Circuit {
  readonly #options: { firstMs: number; longestMs: number };
  readonly #nowMs: () => number;
  #openUntilMs = 0;
  #pauseMs = 0;
  #trying = false;
  #failures = 0;

  /** `nowMs` is monotonic. */
  constructor(options: { firstMs: number; longestMs: number }, nowMs: () => number = () => performance.now()) {
    this.#options = options;
    this.#nowMs = nowMs;
  }

  /** Whether the last call failed. */
  get isOpen(): boolean {
    return this.#pauseMs > 0;
  }

  /** Throws `CircuitOpenError` without calling while it is open. */
  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.isOpen && (this.#trying || this.#nowMs() < this.#openUntilMs)) throw new CircuitOpenError();
    const trial = this.isOpen;
    if (trial) this.#trying = true;
    const failuresBefore = this.#failures;
    try {
      const result = await work();
      this.#pauseMs = 0;
      return result;
    } catch (error) {
      // calls at the same time that fail together are one failure
      if (this.#failures === failuresBefore) this.#open();
      throw error;
    } finally {
      if (trial) this.#trying = false;
    }
  }

  #open(): void {
    this.#failures++;
    this.#pauseMs = this.isOpen ? Math.min(this.#pauseMs * 2, this.#options.longestMs) : this.#options.firstMs;
    this.#openUntilMs = this.#nowMs() + this.#pauseMs;
  }
}

export class CircuitOpenError extends Error {
  override readonly name = 'CircuitOpenError';
  readonly code = 'CIRCUIT_OPEN';
  readonly retryable = true;

  constructor() {
    super('It was away a moment ago and is not asked now.');
  }
}

import { DatabaseError } from './errors.ts';

export type DatabaseState =
  | { state: 'waiting'; message: string }
  | { state: 'ready' }
  /** What is wrong does not go away by waiting. */
  | { state: 'refused'; error: Error };

export interface DatabaseSupervisorOptions {
  /** Throws a retryable error while the server is away, another one where the database is not one to work with. */
  verify(): Promise<void>;
  onChange(state: DatabaseState): void;
  /** Runs `task` after `delayMs`; answers how to call it off. */
  schedule?(task: () => void, delayMs: number): () => void;
}

const firstRetryMs = 250;
const lastRetryMs = 5000;

/**
 * Verifies a database once, and goes on trying in the background while its server is away: a process starts without it and is not
 * ready until it is there.
 */
export class DatabaseSupervisor {
  #options: DatabaseSupervisorOptions;
  #state: DatabaseState = { state: 'waiting', message: 'not tried yet' };
  #running: Promise<DatabaseState> | null = null;
  #callOff: (() => void) | null = null;
  #retryMs = firstRetryMs;
  #stopped = false;

  constructor(options: DatabaseSupervisorOptions) {
    this.#options = options;
  }

  get state(): DatabaseState {
    return this.#state;
  }

  /** Verifies now unless it is ready. Throws where the database is refused; answers otherwise, ready or not. */
  async start(): Promise<void> {
    const state = await this.#verify();
    if (state.state === 'refused') throw state.error;
  }

  /** For a caller that needs the database at once: one attempt if it is not known to be ready, then the reason why not. */
  async whenReady(): Promise<void> {
    if (this.#state.state === 'ready') return;
    const state = this.#state.state === 'refused' ? this.#state : await this.#verify();
    if (state.state === 'refused') throw state.error;
    if (state.state === 'waiting') throw new DatabaseError('DATABASE_UNAVAILABLE', state.message, { retryable: true });
  }

  stop(): void {
    this.#stopped = true;
    this.#callOff?.();
  }

  /** One attempt at a time, however many ask. */
  #verify(): Promise<DatabaseState> {
    this.#running ??= this.#attempt().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #attempt(): Promise<DatabaseState> {
    this.#callOff?.();
    this.#callOff = null;
    try {
      await this.#options.verify();
      this.#change({ state: 'ready' });
    } catch (cause) {
      const error = cause as Error & { retryable?: boolean };
      this.#change(
        error.retryable === true ? { state: 'waiting', message: error.message } : { state: 'refused', error },
      );
      if (error.retryable === true && !this.#stopped) this.#scheduleRetry();
    }
    return this.#state;
  }

  #scheduleRetry(): void {
    this.#callOff = (this.#options.schedule ?? byTimer)(() => void this.#verify(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, lastRetryMs);
  }

  #change(state: DatabaseState): void {
    const changed = state.state !== this.#state.state || this.#state.state === 'waiting';
    this.#state = state;
    if (changed) this.#options.onChange(state);
  }
}

function byTimer(task: () => void, delayMs: number): () => void {
  const timer = setTimeout(task, delayMs);
  return () => clearTimeout(timer);
}

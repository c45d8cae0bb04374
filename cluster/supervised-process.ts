import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { restartBackoff } from './backoff.ts';
import { exitCodeOfBadConfig, type NodeReadyMessage } from './messages.ts';

export interface ProcessSpec {
  name: string;
  /** Arguments for this same Node binary. */
  args: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
}

export interface ProcessEvents {
  /** A line that the process wrote. */
  line(name: string, text: string): void;
  ready(name: string, pid: number, message: NodeReadyMessage): void;
  /** It ended without being asked to and is started again after the pause; null: its configuration is wrong, it is not. */
  crashed(name: string, how: string, restartInMs: number | null): void;
}

/** A process that is started again whenever it ends without having been asked to. */
export class SupervisedProcess {
  readonly #spec: ProcessSpec;
  readonly #events: ProcessEvents;
  readonly #backoff = restartBackoff();
  #child: ChildProcess | null = null;
  #restart: NodeJS.Timeout | null = null;
  #stopping = false;

  constructor(spec: ProcessSpec, events: ProcessEvents) {
    this.#spec = spec;
    this.#events = events;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  start(): void {
    const { name, args, env } = this.#spec;
    const startedMs = performance.now();
    // A group of its own: Ctrl-C in the terminal goes to the supervisor alone, which then drains in order.
    const child = spawn(process.execPath, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream as Readable }).on('line', (text) => this.#events.line(name, text));
    }
    child.on('message', (message: NodeReadyMessage) => {
      if (message.type === 'ready') this.#events.ready(name, child.pid!, message);
    });
    child.once('error', (error) => this.#events.line(name, `could not be started: ${error.message}`));
    child.once('exit', (code, signal) => {
      this.#child = null;
      if (this.#stopping) return;
      const pauseMs = code === exitCodeOfBadConfig ? null : this.#backoff.next(performance.now() - startedMs);
      this.#events.crashed(name, signal ? `was ended by ${signal}` : `ended with code ${code}`, pauseMs);
      if (pauseMs !== null) this.#restart = setTimeout(() => this.start(), pauseMs);
    });
  }

  /** SIGTERM, and SIGKILL where it is not gone after `limitMs`. Resolves when it is gone. */
  async stop(limitMs: number): Promise<void> {
    this.#stopping = true;
    if (this.#restart) clearTimeout(this.#restart);
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    const limit = setTimeout(() => {
      this.#events.line(this.#spec.name, `did not stop within ${limitMs} ms and is killed`);
      child.kill('SIGKILL');
    }, limitMs);
    await gone;
    clearTimeout(limit);
  }
}

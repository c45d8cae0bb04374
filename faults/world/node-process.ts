import { SupervisedProcess } from '../../cluster/supervised-process.ts';

export interface NodeSpec {
  name: string;
  /** Arguments for this same Node binary. */
  args: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
}

export interface NodeEvent {
  atMs: number;
  name: string;
  what: 'ready' | 'ended';
  how?: string;
}

/** A node of the board under the harness. It is started again half a second after it ended, however often it does. */
export class NodeProcess {
  readonly name: string;
  readonly #spec: NodeSpec;
  readonly #log: (from: string, text: string) => void;
  readonly #onEvent: (event: NodeEvent) => void;
  #process: SupervisedProcess;
  #readyPid: number | null = null;
  #waiting: (() => void)[] = [];
  #stopping = false;

  constructor(spec: NodeSpec, log: (from: string, text: string) => void, onEvent: (event: NodeEvent) => void) {
    this.name = spec.name;
    this.#spec = spec;
    this.#log = log;
    this.#onEvent = onEvent;
    this.#process = this.#newProcess();
  }

  get pid(): number {
    const { pid } = this.#process;
    if (pid === null) throw new Error(`${this.name} does not run`);
    return pid;
  }

  get isReady(): boolean {
    return this.#readyPid !== null;
  }

  /** It was asked to end for good. */
  get isStopped(): boolean {
    return this.#stopping;
  }

  start(): void {
    this.#process.start();
  }

  /** SIGKILL, SIGTERM (the node drains), SIGSTOP or SIGCONT. Answers the wall time of the signal. */
  signal(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): number {
    const atMs = Date.now();
    process.kill(this.pid, signal);
    return atMs;
  }

  /** Resolves when it ended (its supervisor starts it again). Ask before the signal. */
  nextEnd(): Promise<NodeEvent> {
    return this.#next('ended');
  }

  /** Resolves when it is ready once more. Ask before the signal. */
  nextReady(): Promise<NodeEvent> {
    return this.#next('ready');
  }

  /** Ends for good. */
  async stop(limitMs: number): Promise<void> {
    this.#stopping = true;
    await this.#process.stop(limitMs);
  }

  readonly #listeners = new Set<(event: NodeEvent) => void>();

  #next(what: NodeEvent['what']): Promise<NodeEvent> {
    return new Promise((resolve) => {
      const listener = (event: NodeEvent) => {
        if (event.what !== what) return;
        this.#listeners.delete(listener);
        resolve(event);
      };
      this.#listeners.add(listener);
    });
  }

  #newProcess(): SupervisedProcess {
    return new SupervisedProcess(this.#spec, {
      line: this.#log,
      ready: (name, pid) => {
        this.#readyPid = pid;
        for (const resolve of this.#waiting.splice(0)) resolve();
        this.#happened({ atMs: Date.now(), name, what: 'ready' });
      },
      crashed: (name, how) => {
        this.#readyPid = null;
        this.#happened({ atMs: Date.now(), name, what: 'ended', how });
        const old = this.#process;
        // when it has made up its mind to start again itself
        setImmediate(() => void old.stop(0));
        if (this.#stopping) return;
        // a process of its own each time: the supervisor's growing pauses are for crashes that nobody ordered
        this.#process = this.#newProcess();
        setTimeout(() => {
          if (!this.#stopping) this.#process.start();
        }, 500);
      },
    });
  }

  /** Resolves when it is ready, at once where it is. */
  ready(): Promise<void> {
    if (this.isReady) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #happened(event: NodeEvent): void {
    this.#onEvent(event);
    for (const listener of [...this.#listeners]) listener(event);
  }
}

import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { DeliveryMode } from '../options.ts';

export interface ChildSettings {
  id: string;
  url: string;
  topicPrefix: string;
  brokers: readonly string[];
  adapter?: 'platformatic' | 'kafkajs';
  buckets?: number;
  delivery: DeliveryMode;
  leaseMs: number;
  batchSize?: number;
  /** Its statements wait so long for an answer. */
  statementTimeoutMs?: number;
}

/** What a relay process says: `sending` before a transaction, `published` and `deleted` as soon as it has the answer. */
export type FromChild =
  | { kind: 'ready' }
  | { kind: 'started'; id: string }
  | { kind: 'sending' | 'published'; eventIds: string[] }
  /** `removed`: how many of these rows were still there. */
  | { kind: 'deleted'; ids: string[]; removed: number }
  | { kind: 'log'; line: string };

export interface RelayChild {
  /** Its name in leases; there once it has started. */
  readonly id: string;
  readonly pid: number;
  readonly said: readonly FromChild[];
  /** The process is up and waits. */
  readonly ready: Promise<void>;
  start(): Promise<void>;
  nudge(): void;
  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void;
  /** Stops it in order. */
  stop(): Promise<void>;
  /** Resolves when the process is gone. */
  readonly exited: Promise<void>;
}

/** A relay in a process of its own, to be killed and stopped. It waits for `start()`. */
export function forkRelay(settings: ChildSettings): RelayChild {
  const child = fork(join(import.meta.dirname, 'relay-process.ts'), [JSON.stringify(settings)], {
    // Jest's own options are not for it
    execArgv: ['--disable-warning=ExperimentalWarning', '--disable-warning=TimeoutNegativeWarning'],
    serialization: 'json',
  });
  const said: FromChild[] = [];
  const ready = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  for (const { promise } of [ready, started]) promise.catch(() => undefined);
  let id = '';
  child.on('message', (message: FromChild) => {
    said.push(message);
    if (message.kind === 'ready') ready.resolve();
    if (message.kind === 'started') {
      id = message.id;
      started.resolve();
    }
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  void exited.then(() => {
    const log = said.flatMap((message) => (message.kind === 'log' ? [message.line] : [])).join('\n');
    for (const one of [ready, started]) one.reject(new Error(`the relay process ended: ${log}`));
  });
  const tell = (what: 'start' | 'nudge' | 'stop') => {
    if (child.connected) child.send(what, () => undefined);
  };
  return {
    get id() {
      return id;
    },
    pid: child.pid!,
    said,
    ready: ready.promise,
    async start() {
      await ready.promise;
      tell('start');
      await started.promise;
    },
    nudge: () => tell('nudge'),
    signal: (signal) => void child.kill(signal),
    async stop() {
      tell('stop');
      const tooLate = setTimeout(() => child.kill('SIGKILL'), 15_000);
      await exited;
      clearTimeout(tooLate);
    },
    exited,
  };
}

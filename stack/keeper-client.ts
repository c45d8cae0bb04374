import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StackError } from './errors.ts';
import type { ProcessIdentity } from './process-identity.ts';
import type {
  KeeperPlan,
  KeeperReply,
  KeeperRequest,
  ServerCommand,
  ServerName,
  StackEnvironment,
  StateServer,
} from './types.ts';

const keeperFile = fileURLToPath(new URL('./keeper.ts', import.meta.url));

type Body = KeeperRequest extends infer Request
  ? Request extends { id: number }
    ? Omit<Request, 'id'>
    : never
  : never;

/** Talks to a keeper that this process started. While nothing is asked, it keeps this process from ending no longer. */
export class KeeperClient {
  readonly #child: ChildProcess;
  readonly #pending = new Map<
    number,
    { resolve: (reply: { process?: ProcessIdentity }) => void; reject: (error: Error) => void }
  >();
  readonly #exitListeners = new Set<(name: ServerName, how: string, pid: number) => void>();
  #nextId = 1;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (message) => this.#receive(message as KeeperReply));
    child.once('exit', () => this.#gone());
    child.once('error', () => this.#gone());
    this.#rest();
  }

  static async start(plan: KeeperPlan, logFolder: string): Promise<KeeperClient> {
    mkdirSync(logFolder, { recursive: true });
    const log = openSync(join(logFolder, 'keeper.log'), 'a', 0o600);
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', keeperFile], {
      cwd: '/',
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    const client = new KeeperClient(child);
    await client.#ask({ do: 'plan', plan });
    return client;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get gone(): boolean {
    return !this.#child.connected;
  }

  async startServer(server: ServerCommand): Promise<ProcessIdentity> {
    return (await this.#ask({ do: 'start', server })).process!;
  }

  async describe(servers: StateServer[], environment: StackEnvironment): Promise<void> {
    await this.#ask({ do: 'adopt', servers, environment });
  }

  async stopServer(name: ServerName): Promise<void> {
    await this.#ask({ do: 'stop', name });
  }

  /** The servers outlive this process, until `stack down`. */
  async detach(): Promise<void> {
    await this.#ask({ do: 'detach' });
    this.#child.disconnect();
  }

  /** Ends all servers, and the keeper. `hard`: by SIGKILL. */
  async end(hard: boolean): Promise<void> {
    await this.#ask({ do: 'end', hard });
  }

  /** Resolves when the keeper has seen the end of a server's process. */
  serverExit(pid: number): Promise<void> {
    return new Promise((resolve) => {
      const keepAlive = setInterval(() => this.gone && done(), 100);
      const unsubscribe = this.onServerExit((_name, _how, exited) => exited === pid && done());
      const done = () => {
        clearInterval(keepAlive);
        unsubscribe();
        resolve();
      };
    });
  }

  onServerExit(listener: (name: ServerName, how: string, pid: number) => void): () => void {
    this.#exitListeners.add(listener);
    return () => this.#exitListeners.delete(listener);
  }

  #ask(body: Body): Promise<{ process?: ProcessIdentity }> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      if (this.gone) {
        reject(lost());
        return;
      }
      this.#pending.set(id, { resolve, reject });
      this.#child.ref();
      this.#child.channel?.ref();
      this.#child.send({ id, ...body } as KeeperRequest, (error) => {
        if (error) this.#settle(id, (waiting) => waiting.reject(lost()));
      });
    });
  }

  #receive(reply: KeeperReply): void {
    if ('exited' in reply) {
      const how = reply.signal === null ? `code ${reply.code}` : reply.signal;
      for (const listener of this.#exitListeners) listener(reply.exited, how, reply.pid);
      return;
    }
    this.#settle(reply.id, (waiting) => {
      if (reply.error !== undefined) waiting.reject(new StackError('STACK_SERVER_FAILED', reply.error));
      else waiting.resolve(reply);
    });
  }

  #settle(
    id: number,
    how: (waiting: { resolve: (reply: { process?: ProcessIdentity }) => void; reject: (error: Error) => void }) => void,
  ): void {
    const waiting = this.#pending.get(id);
    if (waiting === undefined) return;
    this.#pending.delete(id);
    how(waiting);
    this.#rest();
  }

  #gone(): void {
    for (const id of [...this.#pending.keys()]) this.#settle(id, (waiting) => waiting.reject(lost()));
  }

  #rest(): void {
    if (this.#pending.size > 0) return;
    this.#child.unref();
    this.#child.channel?.unref();
  }
}

function lost(): StackError {
  return new StackError(
    'STACK_SERVER_FAILED',
    'The keeper of the stack has ended; see logs/keeper.log in the data folder.',
  );
}

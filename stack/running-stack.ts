import { StackError } from './errors.ts';
import type { KeeperClient } from './keeper-client.ts';
import { endProcess, isAlive, type ProcessIdentity, signalProcess, waitUntilGone } from './process-identity.ts';
import type { ComposeServers } from './providers/docker.ts';
import { logSize, type PreparedServer } from './servers/server.ts';
import { readState } from './state-file.ts';
import type { Product, ServerName, ServerStatus, StackEnvironment, StateServer } from './types.ts';
import { waitReady } from './wait-ready.ts';

/** A server of a running stack, and the means to break it. Only servers that this process started can be broken. */
export interface RunningServer extends ServerStatus {
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves when the process is gone. */
  stop(): Promise<void>;
  /** Starts it again on the same port and data; resolves when it serves. */
  start(): Promise<void>;
  /** SIGSTOP: the process holds still, its connections stay open. */
  suspend(): Promise<void>;
  /** SIGCONT after `suspend()`. */
  resume(): Promise<void>;
}

export interface RunningStack {
  servers: RunningServer[];
  environment: StackEnvironment;
  /** True where the stack ran before: `stop()` leaves it alone. */
  reused: boolean;
  /** Throws a TypeError for a name that the stack does not have. */
  server(name: ServerName): RunningServer;
  /**
   * Calls back when a server's process has ended, by whomever: `how` is its signal or `code N`. Only of servers that this process
   * started and that are processes. Answers the end of listening.
   */
  onServerEnd(listener: (name: ServerName, how: string) => void): () => void;
  /** Ends what this call of `startStack` started. */
  stop(): Promise<void>;
}

/** A stack of endpoints that somebody else runs. */
export function externalStack(servers: StateServer[], environment: StackEnvironment): RunningStack {
  return stackOf(servers.map(fixedServer), environment, { reused: true });
}

/** A stack that another process started on the same data folder. */
export function reusedStack(servers: StateServer[], environment: StackEnvironment, stateFile: string): RunningStack {
  const current = (name: ServerName) => readState(stateFile)?.servers.find((server) => server.name === name)?.process;
  return stackOf(
    servers.map((server) => ({
      ...fixedServer(server),
      get pid() {
        return current(server.name)?.pid ?? null;
      },
    })),
    environment,
    { reused: true },
  );
}

export interface OwnStack {
  servers: StateServer[];
  environment: StackEnvironment;
  keeper: KeeperClient;
  prepared: PreparedServer[];
  compose: ComposeServers | null;
  detached: boolean;
  /** Servers are killed at the end. */
  hard: boolean;
}

/** A stack whose keeper this process started. */
export function ownStack(own: OwnStack): RunningStack {
  const processes = new Map(own.servers.map((server) => [server.name, server.process]));
  own.keeper.onServerExit((name, _how, pid) => {
    if (processes.get(name)?.pid === pid) processes.set(name, null);
  });
  const servers = own.servers.map((server) => {
    const prepared = own.prepared.find(({ name }) => name === server.name);
    if (prepared !== undefined) return ownServer(server, prepared, processes, own.keeper);
    return server.provider === 'docker' ? containerServer(server, own.compose!) : fixedServer(server);
  });
  return stackOf(servers, own.environment, {
    reused: false,
    onServerEnd: (listener) => own.keeper.onServerExit(listener),
    async stop() {
      if (own.detached) return;
      if (!own.keeper.gone) await own.keeper.end(own.hard).catch(() => {});
      // Whatever became of the keeper, nothing stays.
      await Promise.all(
        [...processes.values()].map((process) => process && endProcess(process, own.hard ? 0 : 20_000)),
      );
    },
  });
}

function ownServer(
  server: StateServer,
  prepared: PreparedServer,
  processes: Map<ServerName, ProcessIdentity | null>,
  keeper: KeeperClient,
): RunningServer {
  const { process: _, ...status } = server;
  const running = (): ProcessIdentity => {
    const process = processes.get(server.name);
    if (process == null || !isAlive(process))
      throw new StackError('STACK_SERVER_FAILED', `${server.name} does not run`);
    return process;
  };
  return {
    ...status,
    get pid() {
      return processes.get(server.name)?.pid ?? null;
    },
    async kill() {
      const process = running();
      // The keeper must have seen the end too: until then it would refuse to start the server again.
      const seen = keeper.gone ? waitUntilGone(process, 10_000) : keeper.serverExit(process.pid);
      signalProcess(process, 'SIGKILL');
      await seen;
      processes.set(server.name, null);
    },
    async stop() {
      await keeper.stopServer(server.name);
      processes.set(server.name, null);
    },
    async start() {
      let ended: string | null = null;
      const unsubscribe = keeper.onServerExit((name, how) => {
        if (name === server.name) ended = how;
      });
      try {
        const logStart = await logSize(prepared.command.logFile);
        const process = await keeper.startServer(prepared.command);
        processes.set(server.name, process);
        await waitReady(prepared, { timeoutMs: 120_000, logStart, hasEnded: () => ended });
      } finally {
        unsubscribe();
      }
    },
    async suspend() {
      signalProcess(running(), 'SIGSTOP');
    },
    async resume() {
      signalProcess(running(), 'SIGCONT');
    },
  };
}

function containerServer(server: StateServer, { compose, version }: ComposeServers): RunningServer {
  const { process: _, ...status } = server;
  const product = server.name as Product;
  return {
    ...status,
    pid: null,
    kill: () => compose('kill', product),
    stop: () => compose('stop', product),
    async start() {
      await compose('start', product);
      await version(product);
    },
    suspend: () => compose('pause', product),
    resume: () => compose('unpause', product),
  };
}

function fixedServer(server: StateServer): RunningServer {
  const { process, ...status } = server;
  const refuse = (): never => {
    throw new StackError(
      'STACK_NOT_OURS',
      `${server.name} (${server.provider}, ${server.endpoint}) was not started by this process.`,
    );
  };
  return {
    ...status,
    pid: process?.pid ?? null,
    kill: async () => refuse(),
    stop: async () => refuse(),
    start: async () => refuse(),
    suspend: async () => refuse(),
    resume: async () => refuse(),
  };
}

function stackOf(
  servers: RunningServer[],
  environment: StackEnvironment,
  rest: Pick<RunningStack, 'reused'> & Partial<Pick<RunningStack, 'onServerEnd' | 'stop'>>,
): RunningStack {
  return {
    servers,
    environment,
    server(name) {
      const found = servers.find((server) => server.name === name);
      if (found === undefined)
        throw new TypeError(`the stack has no ${name}, but ${servers.map((s) => s.name).join(', ')}`);
      return found;
    },
    onServerEnd: () => () => {},
    stop: async () => {},
    ...rest,
  };
}

import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { StackError } from './errors.ts';
import { withFileLock } from './file-lock.ts';
import { cacheFolder, createRunFolder, ensureWritable } from './folders.ts';
import { KeeperClient } from './keeper-client.ts';
import { endOrphans, endStack } from './orphans.ts';
import { prepareServers } from './prepare-servers.ts';
import { identify, isAlive } from './process-identity.ts';
import { getBinaries } from './providers/binaries.ts';
import { chooseProviders } from './providers/choose.ts';
import { checkDocker, endCompose, startCompose } from './providers/docker.ts';
import { checkEmbedded } from './providers/embedded.ts';
import { describeExternal, endpointVariables, namedEndpoint } from './providers/external.ts';
import { findInstalled } from './providers/installed.ts';
import { externalStack, ownStack, type RunningStack, reusedStack } from './running-stack.ts';
import { logSize, type Places, type PreparedServer } from './servers/server.ts';
import { loadSettings, type StackSettings, saveSettings } from './settings.ts';
import { readState } from './state-file.ts';
import {
  type Log,
  type Product,
  type Provider,
  products,
  type ServerName,
  type StackConfig,
  type StackEnvironment,
  type StackState,
  type StateServer,
} from './types.ts';
import { waitReady } from './wait-ready.ts';

export type { RunningServer, RunningStack } from './running-stack.ts';
export type { Provider, ServerName, ServerStatus, StackEnvironment } from './types.ts';

export interface StartStackOptions {
  config: StackConfig;
  env: NodeJS.ProcessEnv;
  /** Data folder: state, data and logs of the servers that are started. */
  data: string;
  log: Log;
  /** For people who meet the stack: `npm start`. */
  startedBy?: string;
  /** False: the data is worth nothing afterwards; servers are killed at the end and the data folder is removed. */
  keepData?: boolean;
  /** Kafka brokers to start; three give topics three copies. */
  kafkaNodes?: number;
  /** True: the stack outlives this process, until `stack down`. */
  detach?: boolean;
  /** Kafka starts in half the time, and has less throughput later: for tests, not for measurements. */
  quickStart?: boolean;
  /** How long a server may take to answer. */
  readyTimeoutMs?: number;
}

/**
 * Gives MySQL, Redis and Kafka: what runs on the data folder already, else what the environment names, else servers of its
 * own (see providers/choose.ts), which end with this process however it ends. `stop()` ends only what this call started.
 * Throws `StackError`.
 */
export async function startStack(options: StartStackOptions): Promise<RunningStack> {
  const { config, log } = options;
  const data = resolve(options.data);
  if (products.every((product) => namedEndpoint(product, config) !== undefined)) return startExternal(options);
  ensureWritable(data, 'HOTBOARD_DATA');
  const onWait = ({ pid }: { pid: number }) => log(`process ${pid} starts a stack on ${data} already: waiting for it`);
  return withFileLock(join(data, 'stack.lock'), { timeoutMs: 16 * 60_000, onWait }, async () => {
    const stateFile = join(data, 'stack.json');
    const state = readState(stateFile);
    if (state !== null && isAlive(state.keeper)) {
      const reused = await reuse(state, options, data);
      if (reused !== null) return reused;
    } else if (state !== null) {
      await endOrphans(state, stateFile, log);
    }
    return startOwn(options, data, stateFile);
  });
}

async function startExternal({ config }: StartStackOptions): Promise<RunningStack> {
  const servers = await Promise.all(products.map((product) => describeExternal(product, config)));
  return externalStack(servers, environmentOf(config, {}));
}

/** The endpoints that the environment names, and those of our own servers. */
function environmentOf(config: StackConfig, own: Partial<Record<Product, string>>): StackEnvironment {
  const value = (product: Product) => namedEndpoint(product, config) ?? own[product]!;
  return {
    HOTBOARD_MYSQL_URL: value('mysql'),
    HOTBOARD_REDIS_URL: value('redis'),
    HOTBOARD_KAFKA_BROKERS: value('kafka'),
  };
}

/** A stack that runs here already; null where it is to be started anew because part of it died. */
async function reuse(state: StackState, options: StartStackOptions, data: string): Promise<RunningStack | null> {
  const { config, log } = options;
  const by = `${state.startedBy} (process ${state.owner?.pid ?? state.keeper.pid}, since ${state.startedAt})`;
  const dead = state.servers.filter(({ provider, process }) => isOurs(provider) && !isAlive(process));
  if (dead.length > 0 && state.owner === null) {
    log(`the stack of ${by} on ${data} has lost ${dead.map(({ name }) => name).join(', ')}: starting it anew`);
    await endStack(state, join(data, 'stack.json'));
    return null;
  }
  if (dead.length > 0 || state.environment === null) {
    throw new StackError(
      'STACK_BUSY',
      `The stack on ${data} belongs to ${by} and is not complete${dead.length > 0 ? ` (${dead.map(({ name }) => name).join(', ')} is dead)` : ''}: end that process, or set HOTBOARD_DATA.`,
    );
  }
  const until = state.owner === null ? 'until stack down' : 'and ends with it';
  log(`using the stack that runs on ${data}: started by ${by}, ${until}`);
  const own: Partial<Record<Product, string>> = {
    mysql: state.environment.HOTBOARD_MYSQL_URL,
    redis: state.environment.HOTBOARD_REDIS_URL,
    kafka: state.environment.HOTBOARD_KAFKA_BROKERS,
  };
  const named = products.filter((product) => namedEndpoint(product, config) !== undefined);
  const external = await Promise.all(named.map((product) => describeExternal(product, config)));
  const rest = state.servers.filter(
    ({ name }) => !named.some((product) => name === product || name.startsWith(`${product}-`)),
  );
  return reusedStack([...external, ...rest], environmentOf(config, own), join(data, 'stack.json'));
}

function isOurs(provider: Provider): boolean {
  return provider === 'installed' || provider === 'embedded';
}

async function startOwn(options: StartStackOptions, data: string, stateFile: string): Promise<RunningStack> {
  const { config, env, log } = options;
  const settings = loadSettings(data);
  const chosen = await choose(options, settings);
  const by = (provider: Provider) => products.filter((product) => chosen[product] === provider);
  const [external, binaries] = await Promise.all([
    Promise.all(by('external').map((product) => describeExternal(product, config))),
    getBinaries(by('installed'), by('embedded'), { config, env, log }),
  ]);
  const hard = options.keepData === false;
  const places: Places = { data, logs: join(data, 'logs'), run: createRunFolder() };
  let keeper: KeeperClient | undefined;
  try {
    await mkdir(places.logs, { recursive: true });
    const { prepared, urls } = await prepareServers(binaries, {
      places,
      settings,
      config,
      env,
      kafkaNodes: options.kafkaNodes ?? 1,
      quickStart: options.quickStart ?? false,
    });
    // Before anything is made with them: the ids and passwords belong to the data.
    saveSettings(data, settings);
    const usesDocker = by('docker').length > 0;
    keeper = await KeeperClient.start(
      {
        stateFile,
        runFolder: places.run,
        token: randomBytes(16).toString('hex'),
        startedBy: options.startedBy ?? 'stack',
        owner: identify(process.pid)!,
        endCommands: usesDocker ? [endCompose(data, env, hard)] : [],
        throwAwayFolder: hard ? data : null,
      },
      places.logs,
    );
    const [compose, own] = await Promise.all([
      usesDocker ? startCompose(by('docker'), { data, settings, config, env }) : null,
      startProcesses(prepared, keeper, options.readyTimeoutMs ?? 120_000),
    ]);
    saveSettings(data, { ...settings, providers: { ...settings.providers, ...withoutExternal(chosen) } });
    const servers = [...external, ...(compose?.servers ?? []), ...own];
    const environment = environmentOf(config, { ...urls, ...compose?.urls });
    await keeper.describe(servers, environment);
    if (options.detach) await keeper.detach();
    return ownStack({ servers, environment, keeper, prepared, compose, detached: options.detach ?? false, hard });
  } catch (error) {
    if (keeper !== undefined && !keeper.gone) await keeper.end(hard).catch(() => {});
    await rm(places.run, { recursive: true, force: true });
    throw error;
  }
}

function choose(options: StartStackOptions, settings: StackSettings): Promise<Record<Product, Provider>> {
  const { config, env, log } = options;
  return chooseProviders({
    forced: config.stack,
    last: settings.providers,
    checks: {
      external: (product) =>
        namedEndpoint(product, config) === undefined ? `${endpointVariables[product]} is not set` : null,
      docker: (wanted) =>
        (options.kafkaNodes ?? 1) > 1 && wanted.includes('kafka')
          ? Promise.resolve(`docker-compose.yml has one broker, not ${options.kafkaNodes}`)
          : checkDocker(wanted, { env, cache: cacheFolder(config.cache, env), log }),
      installed: async (product) => {
        const found = await findInstalled(product, env);
        return 'lacks' in found ? found.lacks : null;
      },
      embedded: (product) => checkEmbedded(product, config, env),
    },
  });
}

async function startProcesses(
  prepared: readonly PreparedServer[],
  keeper: KeeperClient,
  timeoutMs: number,
): Promise<StateServer[]> {
  const ended = new Map<ServerName, string>();
  keeper.onServerExit((name, how) => ended.set(name, how));
  return Promise.all(
    prepared.map(async (server) => {
      await server.prepare();
      const logStart = await logSize(server.command.logFile);
      const process = await keeper.startServer(server.command);
      const hasEnded = () => ended.get(server.name) ?? (keeper.gone ? 'its keeper is gone' : null);
      const version = await waitReady(server, { timeoutMs, logStart, hasEnded });
      const { name, provider, port } = server;
      return { name, provider, endpoint: `127.0.0.1:${port}`, version, port, process };
    }),
  );
}

function withoutExternal(chosen: Record<Product, Provider>): Partial<Record<Product, Provider>> {
  return Object.fromEntries(Object.entries(chosen).filter(([, provider]) => provider !== 'external'));
}

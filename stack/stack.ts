import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { withFileLock } from './file-lock.ts';
import { cacheFolder, createRunFolder, ensureWritable } from './folders.ts';
import { KeeperClient } from './keeper-client.ts';
import { prepareServers } from './prepare-servers.ts';
import { identify } from './process-identity.ts';
import { getBinaries } from './providers/binaries.ts';
import { chooseProviders } from './providers/choose.ts';
import { checkDocker, endCompose, startCompose } from './providers/docker.ts';
import { checkEmbedded } from './providers/embedded.ts';
import { describeExternal, endpointVariables, environmentOf, namedEndpoint } from './providers/external.ts';
import { findInstalled } from './providers/installed.ts';
import { reuse } from './reuse.ts';
import { externalStack, ownStack, type RunningStack } from './running-stack.ts';
import { logSize, type Places, type PreparedServer } from './servers/server.ts';
import { loadSettings, type StackSettings, saveSettings } from './settings.ts';
import {
  type Log,
  type Product,
  type Provider,
  products,
  type ServerName,
  type StackConfig,
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
    const running = await reuse(stateFile, { config, data, log });
    if (running !== null) return running;
    return startOwn(options, data, stateFile);
  });
}

async function startExternal({ config }: StartStackOptions): Promise<RunningStack> {
  const servers = await Promise.all(products.map((product) => describeExternal(product, config)));
  return externalStack(servers, environmentOf(config, {}));
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

import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Config } from '../config/load.ts';
import { type Cluster, type ClusterNode, readCluster } from './cluster-file.ts';
import { StackError } from './errors.ts';
import { withFileLock } from './file-lock.ts';
import { endOrphans, endStack, waitForEnd } from './orphans.ts';
import { isAlive } from './process-identity.ts';
import { output } from './programs.ts';
import { endCompose } from './providers/docker.ts';
import { describeExternal, namedEndpoint, withoutCredentials } from './providers/external.ts';
import { examine } from './reuse.ts';
import { loadSettings } from './settings.ts';
import { readState } from './state-file.ts';
import { type Product, products, type ServerStatus } from './types.ts';

/** `stack status --json`. */
export interface StackStatus {
  servers: ServerStatus[];
  nodes: ClusterNode[];
}

const lockOptions = { timeoutMs: 120_000 };
/** What the stack tool writes into a data folder; other things there (the cache) are not its to delete. */
const ownEntries = /^(?:mariadb-[0-9.]+|redis|kafka-[0-9]+)(?:\.next)?$|^logs$|^stack-settings\.json$|^cluster\.json$/;

/** What runs on the data folder, and what the environment names. A process that died has no pid. */
export async function status(config: Config): Promise<StackStatus> {
  const data = resolve(config.data);
  const state = readState(join(data, 'stack.json'));
  const running = state !== null && isAlive(state.keeper) ? state.servers : [];
  const named = products.filter((product) => namedEndpoint(product, config) !== undefined);
  const own = running.filter(
    ({ name }) => !named.some((product) => name === product || name.startsWith(`${product}-`)),
  );
  const external = await Promise.all(named.map((product) => externalStatus(product, config)));
  return {
    servers: [
      ...external,
      ...own.map(({ process, ...server }) => ({ ...server, pid: isAlive(process) ? process!.pid : null })),
    ],
    nodes: readCluster(data)?.nodes ?? [],
  };
}

async function externalStatus(product: Product, config: Config): Promise<ServerStatus> {
  try {
    const { process: _, ...server } = await describeExternal(product, config, 0);
    return { ...server, pid: null };
  } catch {
    const endpoint = withoutCredentials(product, namedEndpoint(product, config)!);
    return { name: product, provider: 'external', endpoint, version: 'does not answer', pid: null, port: 0 };
  }
}

/**
 * Ends the stack on a data folder, and what one that was killed left there. False where there was nothing. Throws
 * `STACK_BUSY` where it belongs to another program that runs (npm start): that program ends it.
 */
export async function down(data: string): Promise<boolean> {
  if (!existsSync(data)) return false;
  return withFileLock(join(data, 'stack.lock'), lockOptions, async () => {
    const stateFile = join(data, 'stack.json');
    const state = readState(stateFile);
    if (state === null) return false;
    const finding = examine(state);
    if (finding === 'clean up') await endOrphans(state, stateFile, () => {});
    if (finding === 'wait') await waitForEnd(state, stateFile);
    if (finding === 'clean up' || finding === 'wait') return true;
    refuseForCluster(readCluster(data), data);
    if (state.owner !== null) {
      throw new StackError(
        'STACK_BUSY',
        `The stack on ${data} belongs to ${state.startedBy} (process ${state.owner.pid}) and ends with it: end that.`,
      );
    }
    await endStack(state, stateFile);
    return true;
  });
}

function refuseForCluster(cluster: Cluster | null, data: string): void {
  if (cluster === null) return;
  throw new StackError(
    'STACK_BUSY',
    `The nodes of process ${cluster.pid} (npm start) use the stack on ${data}: end that first.`,
  );
}

/** Deletes the data of the stack. Returns what was deleted. Throws `STACK_BUSY` while something runs on it. */
export async function reset(data: string, env: NodeJS.ProcessEnv): Promise<string[]> {
  if (!existsSync(data)) return [];
  return withFileLock(join(data, 'stack.lock'), lockOptions, async () => {
    const stateFile = join(data, 'stack.json');
    const state = readState(stateFile);
    if (state !== null && isAlive(state.keeper)) {
      throw new StackError(
        'STACK_BUSY',
        `A stack runs on ${data} (${state.startedBy}, process ${state.keeper.pid}): end it first (npm run stack -- down).`,
      );
    }
    refuseForCluster(readCluster(data), data);
    if (state !== null) await endOrphans(state, stateFile, () => {});
    if (Object.values(loadSettings(data).providers).includes('docker')) {
      const { command, args, cwd } = endCompose(data, env, true);
      await output(command, args, { timeoutMs: 120_000, env, cwd });
    }
    const removed = (await readdir(data)).filter((name) => ownEntries.test(name));
    await Promise.all(removed.map((name) => rm(join(data, name), { recursive: true, force: true })));
    return removed;
  });
}

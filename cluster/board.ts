import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { migrateAll } from '../migrations/all.ts';
import { type RunningStack, startStack } from '../stack/stack.ts';
import { planCluster } from './plan.ts';
import { watchServers } from './server-watch.ts';
import { Supervisor } from './supervisor.ts';

export interface BoardOptions {
  /** The environment with the user's `HOTBOARD_*` settings. */
  env: Readonly<Record<string, string | undefined>>;
  log(from: string, text: string): void;
  /** Servers of its own that end are started again. Default false: who breaks them in a test wants them broken. */
  reviveServers?: boolean;
}

export interface RunningBoard {
  stack: RunningStack;
  supervisor: Supervisor;
  /** The environment of the nodes: the user's, endpoints, secrets. */
  env: Readonly<Record<string, string | undefined>>;
  /** Addresses of the gateways, e.g. `http://127.0.0.1:3000`. */
  gateways: string[];
  /** Drains the nodes, then stops the servers that were started for them. */
  stop(): Promise<void>;
}

/** Brings up the servers, the databases and topics, and every node; resolves when all nodes are ready. */
export async function startBoard({ env, log, reviveServers = false }: BoardOptions): Promise<RunningBoard> {
  const say = (text: string) => log('hotboard', text);
  const config = loadConfig(env);
  const data = resolve(config.data);
  const nodes = planCluster(config);
  const stack = await startStack({ config, env, data, log: say });
  const endWatch = reviveServers ? watchServers({ stack, say }) : () => {};
  try {
    const nodeEnv = {
      ...env,
      ...stack.environment,
      HOTBOARD_DEV_LOGIN: env.HOTBOARD_DEV_LOGIN ?? '1',
      ...(config.jwtSecret === undefined && config.jwtJwksUrl === undefined
        ? { HOTBOARD_JWT_SECRET: keptSecret(join(data, 'jwt-secret')) }
        : {}),
    };
    await migrateAll({ config: loadConfig(nodeEnv), log: say });

    say(`Starting ${nodes.length} nodes: ${nodes.map((node) => node.nodeId).join(', ')}.`);
    const supervisor = new Supervisor({ nodes, env: nodeEnv, data, shutdownMs: config.shutdownMs, log });
    try {
      await supervisor.start();
    } catch (error) {
      await supervisor.stop();
      throw error;
    }
    return {
      stack,
      supervisor,
      env: nodeEnv,
      gateways: supervisor.running
        .filter((node) => node.httpPort !== null)
        .map((node) => `http://${config.httpHost}:${node.httpPort}`)
        .sort(),
      async stop() {
        await supervisor.stop();
        endWatch();
        await stack.stop();
      },
    };
  } catch (error) {
    endWatch();
    await stack.stop();
    throw error;
  }
}

/** A random secret that is made once, so that tokens outlive a restart. */
function keptSecret(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    const secret = randomBytes(32).toString('base64url');
    mkdirSync(resolve(file, '..'), { recursive: true });
    writeFileSync(file, secret, { mode: 0o600 });
    return secret;
  }
}

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { type RunningStack, startStack } from '../stack/stack.ts';

/** Runs a bench on servers of its own, whatever the environment names, and ends them. `env`: the environment without servers. */
export async function onOwnServers<Result>(
  bench: string,
  work: (stack: RunningStack, env: NodeJS.ProcessEnv) => Promise<Result>,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'hotboard-bench-'));
  const { HOTBOARD_MYSQL_URL, HOTBOARD_REDIS_URL, HOTBOARD_KAFKA_BROKERS, ...rest } = process.env;
  const { HOTBOARD_MYSQL_PORT, HOTBOARD_REDIS_PORT, HOTBOARD_KAFKA_PORT, ...env } = rest;
  const stack = await startStack({
    config: loadConfig(env),
    env,
    data: join(folder, 'data'),
    keepData: false,
    startedBy: `bench ${bench}`,
    log: (line) => console.error(`stack: ${line}`),
  });
  try {
    return await work(stack, env);
  } finally {
    await stack.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `--name=value` options as an object. */
export function optionsOf(options: readonly string[]): Partial<Record<string, string>> {
  return Object.fromEntries(options.map((option) => option.replace(/^--/, '').split('=')));
}

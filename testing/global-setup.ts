import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { startStack } from '../stack/stack.ts';

/**
 * Starts the tests' own MySQL, Redis and Kafka before the integration and end-to-end tests (unit tests need none) and puts
 * their endpoints into the environment. Endpoints that are there already are used instead. The data is thrown away.
 */
export default async function globalSetup(): Promise<void> {
  const started = performance.now();
  // The ports of a developer's own stack are not for the tests.
  const { HOTBOARD_MYSQL_PORT, HOTBOARD_REDIS_PORT, HOTBOARD_KAFKA_PORT, HOTBOARD_DATA, ...env } = process.env;
  const data = mkdtempSync(join(tmpdir(), 'hotboard-tests-data-'));
  const stack = await startStack({
    config: loadConfig(env),
    env,
    data,
    keepData: false,
    startedBy: 'npm test',
    log: (line) => console.error(`stack: ${line}`),
  });
  Object.assign(process.env, stack.environment);
  (globalThis as { testStack?: typeof stack }).testStack = stack;
  const servers = stack.servers.map(({ name, provider, version }) => `${name} ${version} (${provider})`).join(', ');
  console.error(`stack: ${servers}, ready in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { startStack } from '../stack/stack.ts';
import { startContainers } from './containers.ts';

/**
 * Starts the tests' own MySQL, Redis and Kafka before the integration and end-to-end tests (unit tests need none) and puts
 * their endpoints into the environment: testcontainers where Docker works, else the stack tool's own servers, on data that is
 * thrown away. Endpoints that are in the environment already are used instead.
 */
export default async function globalSetup(): Promise<void> {
  const started = performance.now();
  const log = (line: string) => console.error(`stack: ${line}`);
  // The ports and data of a developer's own stack are not for the tests.
  const { HOTBOARD_MYSQL_PORT, HOTBOARD_REDIS_PORT, HOTBOARD_KAFKA_PORT, HOTBOARD_DATA, ...env } = process.env;
  const config = loadConfig(env);
  const stack =
    (await startContainers(config, env, log)) ??
    (await startStack({
      config,
      env,
      data: join(tmpdir(), `hotboard-tests-data-${randomBytes(6).toString('hex')}`),
      keepData: false,
      quickStart: true,
      startedBy: 'npm test',
      log,
    }));
  Object.assign(process.env, stack.environment);
  (globalThis as { testStack?: { stop(): Promise<void> } }).testStack = stack;
  const servers = stack.servers.map(({ name, provider, version }) => `${name} ${version} (${provider})`).join(', ');
  log(`${servers}, ready in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

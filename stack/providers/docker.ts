import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StackError } from '../errors.ts';
import { choosePort, freePorts } from '../ports.ts';
import { findProgram, output } from '../programs.ts';
import type { StackSettings } from '../settings.ts';
import type { Log, Product, StackConfig, StateServer } from '../types.ts';
import { liveBrokers, mysqlVersion, patiently, redisVersion } from '../versions.ts';
import type { Lack } from './choose.ts';

export const composeFile = fileURLToPath(new URL('../../docker-compose.yml', import.meta.url));

const answerTimeoutMs = 5_000;
const pullTimeoutMs = 60_000;
const readyTimeoutMs = 120_000;
/** After a pull that failed nobody waits for the next one for so long. */
const pullPauseMs = 3_600_000;

/**
 * What is missing to run the products by Docker compose. An engine that answers may have no image and no way to one, so
 * every image must be there, or come within 60 seconds.
 */
export async function checkDocker(
  wanted: readonly Product[],
  options: { env: NodeJS.ProcessEnv; cache: string; log: Log },
): Promise<Lack> {
  const { env, cache, log } = options;
  const docker = findProgram('docker', env);
  if (docker === null) return 'docker is not on the PATH';
  const ask = (args: string[], timeoutMs = answerTimeoutMs) => output(docker, args, { timeoutMs, env });
  const engine = await why(ask(['version', '--format', '{{.Server.Version}}']));
  if (engine !== null) return `the engine does not answer (${engine})`;
  const compose = await why(ask(['compose', 'version']));
  if (compose !== null) return `docker compose is missing (${compose})`;

  const images = wanted.map((product) => composeImages()[product]);
  const present = await Promise.all(images.map((image) => why(ask(['image', 'inspect', image]))));
  const missing = images.filter((_, index) => present[index] !== null);
  if (missing.length === 0) return null;
  const memory = join(cache, 'docker-pull-failed');
  if (failedLately(memory))
    return `the images ${missing.join(', ')} are not there (a pull failed within the last hour)`;
  log(`pulling ${missing.join(', ')} (${pullTimeoutMs / 1000} s at most)`);
  const pulled = await Promise.all(missing.map((image) => why(ask(['pull', '--quiet', image], pullTimeoutMs))));
  const failed = missing.flatMap((image, index) => (pulled[index] === null ? [] : [`${image}: ${pulled[index]}`]));
  if (failed.length === 0) return null;
  mkdirSync(cache, { recursive: true });
  writeFileSync(memory, failed.join('\n'));
  return `not all images can be pulled within ${pullTimeoutMs / 1000} s (${failed.join('; ')})`;
}

function failedLately(memory: string): boolean {
  try {
    if (Date.now() - statSync(memory).mtimeMs < pullPauseMs) return true;
    rmSync(memory, { force: true });
  } catch {
    // There was none.
  }
  return false;
}

/** Null where it works; else the last line of what it said. */
async function why(asked: Promise<string>): Promise<string | null> {
  try {
    await asked;
    return null;
  } catch (error) {
    const { killed, stderr, message } = error as Error & { killed?: boolean; stderr?: string };
    if (killed) return 'no answer in time';
    const lines = (stderr || message).trim().split('\n').filter(Boolean);
    return lines.find((line) => /cannot|unknown|error|denied|not/i.test(line)) ?? lines.at(-1) ?? 'no reason given';
  }
}

/** The images as docker-compose.yml pins them: one place for them. */
export function composeImages(): Record<Product, string> {
  const text = readFileSync(composeFile, 'utf8');
  const image = (service: Product) =>
    new RegExp(`^ {2}${service}:\\n {4}image: (\\S+)$`, 'm').exec(text)?.[1] ?? missingImage(service);
  return { mysql: image('mysql'), redis: image('redis'), kafka: image('kafka') };
}

function missingImage(service: Product): never {
  throw new StackError('STACK_NO_PROVIDER', `${composeFile} pins no image for ${service}.`);
}

/** Each data folder has its own compose project, so its own containers and volumes. */
export function composeProject(data: string): string {
  return `hotboard-${createHash('sha256').update(data).digest('hex').slice(0, 10)}`;
}

export interface ComposeServers {
  servers: StateServer[];
  urls: Partial<Record<Product, string>>;
  /** Runs a compose command on the project. */
  compose(...args: string[]): Promise<void>;
  /** Waits until the product answers. */
  version(product: Product): Promise<string>;
}

/** Starts the products by compose and waits until they answer. */
export async function startCompose(
  wanted: readonly Product[],
  options: { data: string; settings: StackSettings; config: StackConfig; env: NodeJS.ProcessEnv },
): Promise<ComposeServers> {
  const { data, settings, config } = options;
  const ports = await composePorts(wanted, config, settings);
  const env = {
    ...options.env,
    MYSQL_ROOT_PASSWORD: settings.mysqlPassword,
    KAFKA_CLUSTER_ID: settings.kafkaClusterId,
    HOTBOARD_MYSQL_PORT: String(ports.mysql),
    HOTBOARD_REDIS_PORT: String(ports.redis),
    HOTBOARD_KAFKA_PORT: String(ports.kafka),
  };
  const project = composeProject(data);
  const docker = findProgram('docker', env) ?? 'docker';
  const compose = async (...args: string[]) => {
    const all = [...composeArguments(project), ...args];
    await output(docker, all, { timeoutMs: 120_000, env, cwd: dirname(composeFile) }).catch((cause: Error) => {
      throw new StackError('STACK_SERVER_FAILED', `docker ${all.join(' ')} failed: ${cause.message}`, { cause });
    });
  };
  await compose('up', '--detach', '--no-build', ...wanted);
  const urls = {
    mysql: `mysql://root:${settings.mysqlPassword}@127.0.0.1:${ports.mysql}`,
    redis: `redis://127.0.0.1:${ports.redis}`,
    kafka: `127.0.0.1:${ports.kafka}`,
  };
  const version = (product: Product) => patiently(() => versionOf(product, urls), readyTimeoutMs);
  const servers = await Promise.all(
    wanted.map(async (name): Promise<StateServer> => {
      const port = ports[name];
      return {
        name,
        provider: 'docker',
        endpoint: `127.0.0.1:${port}`,
        version: await version(name),
        port,
        process: null,
      };
    }),
  );
  return { servers, urls, compose, version };
}

/** How the keeper ends the containers: their volumes stay, unless the data is worth nothing. */
export function endCompose(
  data: string,
  env: NodeJS.ProcessEnv,
  throwAway: boolean,
): { command: string; args: string[]; cwd: string } {
  const end = throwAway ? ['down', '--volumes', '--timeout', '0'] : ['down'];
  return {
    command: findProgram('docker', env) ?? 'docker',
    args: [...composeArguments(composeProject(data)), ...end],
    cwd: dirname(composeFile),
  };
}

export function composeArguments(project: string): string[] {
  return ['compose', '--project-name', project, '--file', composeFile];
}

async function composePorts(
  wanted: readonly Product[],
  config: StackConfig,
  settings: StackSettings,
): Promise<Record<Product, number>> {
  const [mysql, redis, kafka] = await freePorts(3);
  const ports: Record<Product, number> = { mysql: mysql!, redis: redis!, kafka: kafka! };
  const configured = { mysql: config.mysqlPort, redis: config.redisPort, kafka: config.kafkaPort };
  for (const product of wanted) {
    const key = product === 'kafka' ? 'kafka-1' : product;
    const variable = `HOTBOARD_${product.toUpperCase()}_PORT`;
    ports[product] = await choosePort({ variable, configured: configured[product], last: settings.ports[key] });
    settings.ports[key] = ports[product];
  }
  return ports;
}

async function versionOf(product: Product, urls: Record<Product, string>): Promise<string> {
  switch (product) {
    case 'mysql':
      return mysqlVersion(urls.mysql);
    case 'redis':
      return redisVersion(urls.redis);
    case 'kafka':
      await liveBrokers([urls.kafka]);
      return composeImages().kafka.split(':')[1] ?? 'unknown';
  }
}

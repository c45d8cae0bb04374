import { spawn } from 'node:child_process';
import { access, constants, cp, mkdir, rm } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StackError } from '../errors.ts';
import { createRunFolder, plainPath } from '../folders.ts';
import { serverEnvironment } from '../servers/server.ts';
import type { Log } from '../types.ts';
import type { Artifact } from './artifacts.ts';

const poms = fileURLToPath(new URL('.', import.meta.url));
const reportEveryMs = 2000;

/**
 * Copies the jars of the artifacts to `staging/<module>/` with the user's Maven, under the user's settings, checksums
 * strict. Says every two seconds how far it is. Throws `STACK_DOWNLOAD_FAILED`.
 */
export async function fetchJars(
  artifacts: readonly Artifact[],
  options: { mvn: string; env: NodeJS.ProcessEnv; log: Log; staging: string; cache: string },
): Promise<void> {
  const { mvn, env, log, staging, cache } = options;
  // Maven gets paths that survive any locale: the poms are copied, the staging folder is reached by a link.
  const work = createRunFolder();
  try {
    for (const name of ['pom.xml', 'kafka/pom.xml', 'mariadb/pom.xml', 'redis/pom.xml']) {
      await cp(join(poms, name), join(work, 'poms', name));
    }
    const args = [
      // Not in batch mode: there Maven does not say how far a download is.
      '--strict-checksums',
      '--file',
      join(work, 'poms', 'pom.xml'),
      '--projects',
      artifacts.map(({ module }) => module).join(','),
      ...artifacts.flatMap(({ mavenProperties }) => mavenProperties),
      ...(await ownRepository(cache)),
      `-Dhotboard.staging=${plainPath(staging, work, 'staging')}`,
      'dependency:copy-dependencies',
    ];
    await run(mvn, args, { env, log, cwd: join(work, 'poms') });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Maven keeps what it fetched in the user's home; a user without a writable one gets a repository in the cache. */
async function ownRepository(cache: string): Promise<string[]> {
  try {
    // Java asks the system for the home folder, not the variable HOME.
    const repository = join(userInfo().homedir, '.m2', 'repository');
    await mkdir(repository, { recursive: true });
    await access(repository, constants.W_OK);
    return [];
  } catch {
    return [`-Dmaven.repo.local=${join(cache, 'maven-repository')}`];
  }
}

async function run(
  mvn: string,
  args: readonly string[],
  options: { env: NodeJS.ProcessEnv; log: Log; cwd: string },
): Promise<void> {
  const child = spawn(mvn, args, {
    cwd: options.cwd,
    env: serverEnvironment(options.env),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const progress = new DownloadProgress();
  child.stdout.setEncoding('utf8').on('data', (text: string) => progress.read(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => progress.read(text));
  const startedAt = performance.now();
  const timer = setInterval(() => {
    options.log(`downloading: ${progress.describe()}, ${Math.round((performance.now() - startedAt) / 1000)} s`);
  }, reportEveryMs);
  try {
    const code = await new Promise<number | string>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (exitCode, signal) => resolve(exitCode ?? signal ?? 'unknown'));
    });
    if (code !== 0) {
      throw new StackError(
        'STACK_DOWNLOAD_FAILED',
        `Maven could not fetch the servers (exit ${code}): ${progress.errors() || 'it said nothing'}`,
        { retryable: true },
      );
    }
  } finally {
    clearInterval(timer);
  }
}

/** What Maven's output says about its downloads. */
export class DownloadProgress {
  #done = 0;
  #current: string[] = [];
  #errors: string[] = [];
  #rest = '';

  read(text: string): void {
    const lines = (this.#rest + text).split(/[\r\n]+/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#readLine(plain(line));
  }

  #readLine(line: string): void {
    const finished = /Downloaded from [^:]+: \S*\/(\S+) \(([0-9.]+) ([kM]?B)\b/.exec(line);
    if (finished) {
      this.#done += inMegabytes(finished[2]!, finished[3]!);
      this.#current = [];
    }
    const progress = /Progress \([0-9]+\): (.+?)\s*$/.exec(line);
    if (progress) {
      this.#current = progress[1]!.split(' | ').map((text) => text.trim());
    }
    const error = /^\[ERROR\] (.+)$/.exec(line);
    if (error && this.#errors.length < 3) this.#errors.push(error[1]!.trim());
  }

  describe(): string {
    const running = this.#current.map((text) => /(?:^|[\s(])([0-9.]+)(?:\/[0-9.]+)? ([kM]?B)/.exec(text));
    const megabytes = running.reduce((sum, part) => sum + (part ? inMegabytes(part[1]!, part[2]!) : 0), this.#done);
    const files = this.#current.length > 0 ? ` (now ${this.#current.join(', ')})` : '';
    return `${megabytes.toFixed(megabytes < 10 ? 1 : 0)} MB so far${files}`;
  }

  errors(): string {
    return this.#errors.join(' ');
  }
}

function inMegabytes(number: string, unit: string): number {
  const divisor = unit === 'MB' ? 1 : unit === 'kB' ? 1000 : 1_000_000;
  return Number(number) / divisor;
}

/** Without the escape sequences of a terminal. */
function plain(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
  return line.replace(/\u001b\[[0-9;]*[A-Za-z]/g, '');
}

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { withFileLock } from '../file-lock.ts';
import { createRunFolder, isPlainPath } from '../folders.ts';
import { freePorts } from '../ports.ts';
import type { Log, ServerCommand } from '../types.ts';
import { liveBrokers } from '../versions.ts';
import { type KafkaBinaries, prepareKafka } from './kafka.ts';

/**
 * A class archive of a running broker: with it the JVM loads Kafka's classes at once (a start takes half the time and
 * processor). It belongs to one Java and one folder of jars; the JVM itself ignores one that does not fit. Made once, by
 * starting a broker on a folder that is thrown away. Returns null where that failed: a start is slower then, no more.
 */
export async function ensureClassArchive(
  binaries: KafkaBinaries,
  options: { env: NodeJS.ProcessEnv; log: Log },
): Promise<string | null> {
  // The JVM compares class paths as text, and a path that is not plain is reached by a link with another name each time.
  if (!isPlainPath(binaries.libs)) return null;
  const java = createHash('sha256').update(`${binaries.java}\n${binaries.javaVersion}`).digest('hex').slice(0, 12);
  const archive = join(dirname(binaries.libs), `kafka-classes-${java}.jsa`);
  const failed = `${archive}.failed`;
  if (existsSync(archive)) return archive;
  if (existsSync(failed)) return null;
  try {
    await withFileLock(`${archive}.lock`, { timeoutMs: 120_000 }, async () => {
      if (existsSync(archive)) return;
      options.log('preparing Kafka for quick starts (once, some seconds)');
      await makeArchive(binaries, archive, options.env);
    });
  } catch {
    await writeFile(failed, '').catch(() => {});
    return null;
  }
  return archive;
}

async function makeArchive(binaries: KafkaBinaries, archive: string, env: NodeJS.ProcessEnv): Promise<void> {
  const folder = createRunFolder();
  try {
    const [port, controllerPort] = await freePorts(2);
    const places = { data: join(folder, 'data'), logs: folder, run: folder };
    await mkdir(places.data);
    const [broker] = prepareKafka(binaries, {
      places,
      nodes: [{ id: 1, port: port!, controllerPort: controllerPort! }],
      clusterId: 'HotboardClassArchive00',
      env,
    });
    await broker!.prepare();
    const next = `${archive}.next`;
    await runUntilReady(broker!.command, [`-XX:ArchiveClassesAtExit=${next}`], `127.0.0.1:${port}`);
    await rename(next, archive);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The archive is written while the JVM ends. */
async function runUntilReady(server: ServerCommand, options: readonly string[], broker: string): Promise<void> {
  const { command, args, env, cwd } = server;
  const child = spawn(command, [...options, ...args], { env, cwd, stdio: 'ignore' });
  const exited = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => resolve());
  });
  // A child of this process: it must not outlive it.
  const onExit = () => child.kill('SIGKILL');
  process.once('exit', onExit);
  const limit = setTimeout(() => child.kill('SIGKILL'), 60_000);
  try {
    while (child.exitCode === null && child.signalCode === null && !(await answers(broker))) await pause(100);
    child.kill('SIGTERM');
    await exited;
    if (child.exitCode === null) throw new Error('the broker was ended before it had written its class archive');
  } finally {
    clearTimeout(limit);
    process.removeListener('exit', onExit);
  }
}

function answers(broker: string): Promise<boolean> {
  return liveBrokers([broker]).then(
    () => true,
    () => false,
  );
}

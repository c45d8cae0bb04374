import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { StackError } from '../errors.ts';
import { withFileLock } from '../file-lock.ts';
import { ensureWritable } from '../folders.ts';
import { readJson, writeJson } from '../state-file.ts';
import type { Log } from '../types.ts';
import type { Artifact } from './artifacts.ts';
import { fetchJars } from './maven.ts';

/** Written last: the sizes of all files of a complete folder. */
const markerName = 'complete.json';

interface Marker {
  main: string;
  files: Record<string, number>;
}

/** True where the artifact is in the cache, complete. */
export async function isCached(cache: string, artifact: Artifact): Promise<boolean> {
  const folder = join(cache, artifact.folder);
  const marker = readJson<Marker>(join(folder, markerName));
  if (marker === null || marker.main !== artifact.main) return false;
  const intact = await Promise.all(
    Object.entries(marker.files).map(([file, size]) =>
      stat(join(folder, file)).then(
        (found) => found.size === size,
        () => false,
      ),
    ),
  );
  return intact.every(Boolean);
}

/**
 * Makes sure that the artifacts are in the cache and returns their folders, in the same order. What is missing is fetched
 * by Maven, unpacked beside and renamed into place; of two processes at the same cache one fetches, the other waits.
 */
export async function ensureCached(
  artifacts: readonly Artifact[],
  options: { cache: string; mvn: string | null; env: NodeJS.ProcessEnv; log: Log },
): Promise<string[]> {
  const { cache, log } = options;
  const missing = async () => {
    const cached = await Promise.all(artifacts.map((artifact) => isCached(cache, artifact)));
    return artifacts.filter((_, index) => !cached[index]);
  };
  if ((await missing()).length > 0) {
    ensureWritable(cache, 'HOTBOARD_CACHE');
    const onWait = ({ pid }: { pid: number }) => log(`process ${pid} downloads the servers already: waiting for it`);
    await withFileLock(join(cache, 'download.lock'), { timeoutMs: 15 * 60_000, onWait }, async () => {
      const stillMissing = await missing();
      if (stillMissing.length > 0) await fetchInto(cache, stillMissing, options);
    });
  }
  return artifacts.map((artifact) => join(cache, artifact.folder));
}

async function fetchInto(
  cache: string,
  artifacts: readonly Artifact[],
  options: { mvn: string | null; env: NodeJS.ProcessEnv; log: Log },
): Promise<void> {
  const { mvn, env, log } = options;
  if (mvn === null) {
    throw new StackError(
      'STACK_DOWNLOAD_FAILED',
      'Maven (mvn) is needed to download the servers, and is not on the PATH.',
    );
  }
  await removeLeftovers(cache);
  const staging = join(cache, `.staging-${process.pid}-${randomBytes(4).toString('hex')}`);
  await mkdir(staging, { recursive: true });
  try {
    const size = artifacts.reduce((sum, { megabytes }) => sum + megabytes, 0);
    log(
      `downloading ${artifacts.map(({ folder }) => folder).join(', ')} by Maven (about ${size} MB, once) to ${cache}`,
    );
    const startedAt = performance.now();
    await fetchJars(artifacts, { mvn, env, log, staging, cache });
    await Promise.all(artifacts.map((artifact) => install(cache, staging, artifact)));
    log(`downloaded and unpacked in ${Math.round((performance.now() - startedAt) / 1000)} s`);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function install(cache: string, staging: string, artifact: Artifact): Promise<void> {
  const staged = join(staging, artifact.module);
  const next = join(staging, artifact.folder);
  await mkdir(next, { recursive: true });
  const jars = (await readdir(staged)).filter((name) => name.endsWith('.jar'));
  await artifact.unpack(staged, jars, next);
  if (!existsSync(join(next, artifact.main))) {
    throw new StackError(
      'STACK_DOWNLOAD_FAILED',
      `The Maven artifact for ${artifact.folder} holds no ${artifact.main}.`,
    );
  }
  const files: Record<string, number> = {};
  for (const entry of await readdir(next, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    files[file.slice(next.length + 1)] = (await stat(file)).size;
  }
  writeJson(join(next, markerName), { main: artifact.main, files } satisfies Marker);
  const place = join(cache, artifact.folder);
  await rm(place, { recursive: true, force: true });
  await rename(next, place);
}

/** Staging folders of downloads that were ended. Called under the lock: nobody else has one. */
async function removeLeftovers(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    if (name.startsWith('.staging-')) await rm(join(cache, name), { recursive: true, force: true });
  }
}

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Artifact } from './artifacts.ts';
import { ensureCached, isCached } from './cache.ts';

const redis: Artifact = {
  product: 'redis',
  module: 'redis',
  folder: 'redis-1',
  megabytes: 1,
  mavenProperties: [],
  main: 'server.jar',
  version: '1',
  unpack: (staged, jars, target) => copyFile(join(staged, jars[0]!), join(target, 'server.jar')),
};

let folder: string;
let cache: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hotboard-cache-'));
  cache = join(folder, 'a b ü');
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A Maven that copies one jar where the real one would. */
function fakeMaven(body: string): string {
  const mvn = join(folder, 'mvn');
  const script = `#!/bin/sh
echo run >> '${folder}/runs'
for a in "$@"; do case "$a" in -Dhotboard.staging=*) staging="\${a#*=}";; esac; done
${body}
`;
  writeFileSync(mvn, script, { mode: 0o755 });
  return mvn;
}

const copies = 'sleep 0.3; mkdir -p "$staging/redis"; echo jar > "$staging/redis/a.jar"';
const ensure = (mvn: string | null, log: (line: string) => void = () => {}) =>
  ensureCached([redis], { cache, mvn, env: process.env, log });
const runs = () => readFileSync(join(folder, 'runs'), 'utf8').trim().split('\n').length;

describe('the cache of downloaded servers', () => {
  it('is filled by one of two that come at the same time', async () => {
    const mvn = fakeMaven(copies);
    const logged: string[] = [];
    const both = await Promise.all([ensure(mvn), ensure(mvn, (line) => logged.push(line))]);
    expect(both).toEqual([[join(cache, 'redis-1')], [join(cache, 'redis-1')]]);
    expect(runs()).toBe(1);
    expect(logged).toEqual([expect.stringContaining('waiting for it')]);
    expect(readFileSync(join(cache, 'redis-1', 'server.jar'), 'utf8')).toBe('jar\n');
    expect(readdirSync(cache)).toEqual(['redis-1']);
  });

  it('needs no Maven once it is filled', async () => {
    await ensure(fakeMaven(copies));
    await expect(ensure(null)).resolves.toEqual([join(cache, 'redis-1')]);
    expect(runs()).toBe(1);
  });

  it('is filled again where a file is damaged, or the marker is missing', async () => {
    const mvn = fakeMaven(copies);
    await ensure(mvn);
    appendFileSync(join(cache, 'redis-1', 'server.jar'), 'x');
    expect(await isCached(cache, redis)).toBe(false);
    await ensure(mvn);
    rmSync(join(cache, 'redis-1', 'complete.json'));
    expect(await isCached(cache, redis)).toBe(false);
    await ensure(mvn);
    expect(runs()).toBe(3);
    expect(await isCached(cache, redis)).toBe(true);
  });

  it('removes what an ended download left', async () => {
    mkdirSync(join(cache, '.staging-1-x'), { recursive: true });
    await ensure(fakeMaven(copies));
    expect(existsSync(join(cache, '.staging-1-x'))).toBe(false);
  });

  it('keeps nothing of a download that failed, and says what Maven said', async () => {
    const failing = ensure(fakeMaven(`${copies}; echo "[ERROR] Checksum validation failed"; exit 1`));
    await expect(failing).rejects.toMatchObject({
      code: 'STACK_DOWNLOAD_FAILED',
      message: 'Maven could not fetch the servers (exit 1): Checksum validation failed',
    });
    expect(readdirSync(cache)).toEqual([]);
  });

  it('says that Maven is missing', async () => {
    await expect(ensure(null)).rejects.toThrow('Maven (mvn) is needed');
  });
});

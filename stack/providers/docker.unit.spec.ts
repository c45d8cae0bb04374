import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { checkDocker, composeImages } from './docker.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hotboard-docker-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A docker whose answers are the branches of a shell `case` over its arguments. */
function check(branches: string | null) {
  if (branches !== null) {
    const script = `#!/bin/sh\necho "$*" >> '${folder}/calls'\ncase "$*" in\n${branches}\n*) exit 0;;\nesac\n`;
    writeFileSync(join(folder, 'docker'), script, { mode: 0o755 });
  }
  const logged: string[] = [];
  const env = { PATH: `${folder}:/usr/bin:/bin` };
  const cache = join(folder, 'cache');
  // Without a docker of ours none may be found elsewhere.
  const path = branches === null ? { PATH: folder } : env;
  return checkDocker(['mysql', 'redis'], { env: path, cache, log: (line) => logged.push(line) }).then((lack) => ({
    lack,
    logged,
  }));
}

describe('whether Docker really works', () => {
  it('does where engine, compose and every image are there', async () => {
    expect(await check('')).toEqual({ lack: null, logged: [] });
  });

  it('does not without a docker program', async () => {
    expect((await check(null)).lack).toBe('docker is not on the PATH');
  });

  it('does not where the engine is dead, and says why', async () => {
    const { lack } = await check('version*) echo "Cannot connect to the Docker daemon" >&2; exit 1;;');
    expect(lack).toBe('the engine does not answer (Cannot connect to the Docker daemon)');
  });

  it('does not without compose', async () => {
    const { lack } = await check('compose*) echo "docker: unknown command: docker compose" >&2; exit 1;;');
    expect(lack).toContain('docker compose is missing');
  });

  it('pulls a missing image and then works', async () => {
    const { lack, logged } = await check('image*redis*) exit 1;;');
    expect(lack).toBeNull();
    expect(logged).toEqual([expect.stringContaining(`pulling ${composeImages().redis}`)]);
  });

  it('does not where an image cannot be pulled, and does not try again soon', async () => {
    const branches = 'image*) exit 1;;\npull*) echo "no route to the registry: not found" >&2; exit 1;;';
    expect((await check(branches)).lack).toContain('no route to the registry');
    const again = await check(branches);
    expect(again.lack).toContain('a pull failed within the last hour');
    expect(again.logged).toEqual([]);
  });

  it('pins every image to a release', () => {
    for (const image of Object.values(composeImages())) expect(image).toMatch(/^[a-z/]+:[0-9]+\.[0-9]+\.[0-9]+$/);
  });
});

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { withFileLock } from './file-lock.ts';
import { identify } from './process-identity.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hotboard-lock-'));
  file = join(folder, 'lock');
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('the file lock', () => {
  it('lets one at a time work, and leaves no file', async () => {
    let inside = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setTimeout(resolve, 5));
      inside--;
    };
    await Promise.all(Array.from({ length: 5 }, () => withFileLock(file, { timeoutMs: 10_000 }, work)));
    expect(most).toBe(1);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('is given back when the work throws', async () => {
    const failing = withFileLock(file, { timeoutMs: 10_000 }, () => Promise.reject(new Error('broken')));
    await expect(failing).rejects.toThrow('broken');
    await expect(withFileLock(file, { timeoutMs: 10_000 }, async () => 1)).resolves.toBe(1);
  });

  it('passes from a dead holder, also where its pid lives on in another process', async () => {
    writeFileSync(file, JSON.stringify({ pid: process.pid, startTime: 'earlier' }));
    await expect(withFileLock(file, { timeoutMs: 10_000 }, async () => 1)).resolves.toBe(1);
  });

  it('waits for a living holder, says so once, and gives up after its time', async () => {
    writeFileSync(file, JSON.stringify(identify(process.pid)));
    const waited: number[] = [];
    const attempt = withFileLock(file, { timeoutMs: 250, onWait: ({ pid }) => waited.push(pid) }, async () => 1);
    await expect(attempt).rejects.toMatchObject({ code: 'STACK_BUSY', retryable: true });
    expect(waited).toEqual([process.pid]);
  });
});

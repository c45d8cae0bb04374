import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { StackError } from './errors.ts';
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts';

export interface LockOptions {
  /** How long to wait for another holder. */
  timeoutMs: number;
  /** Called once when somebody else holds the lock. */
  onWait?: (holder: ProcessIdentity) => void;
}

/**
 * Runs `work` while no other process does so under the same file. The file names its holder; a holder that is dead loses
 * it at once. Throws `STACK_BUSY` after `timeoutMs`.
 */
export async function withFileLock<T>(file: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(file), { recursive: true });
  const deadline = performance.now() + options.timeoutMs;
  const token = randomBytes(6).toString('hex');
  let announced = false;
  while (!tryTake(file, token)) {
    const holder = readHolder(file);
    if (holder !== null && !isAlive(holder)) {
      removeStale(file, holder);
      continue;
    }
    if (!announced && holder !== null) {
      options.onWait?.(holder);
      announced = true;
    }
    if (performance.now() > deadline) {
      const by = holder === null ? 'an unknown process' : `process ${holder.pid}`;
      throw new StackError('STACK_BUSY', `${file} is held by ${by}, which does not finish.`, { retryable: true });
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

/** A link appears with its content, or not at all: no reader sees a lock without its holder. */
function tryTake(file: string, token: string): boolean {
  const own = `${file}.${process.pid}.${token}`;
  writeFileSync(own, JSON.stringify(identify(process.pid)));
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(own, { force: true });
  }
}

function readHolder(file: string): ProcessIdentity | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ProcessIdentity;
  } catch {
    return null;
  }
}

/** Of several that find the lock stale one moves it away; who moved a fresh one by mistake puts it back. */
function removeStale(file: string, stale: ProcessIdentity): void {
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch {
    return;
  }
  const moved = readHolder(aside);
  if (moved !== null && (moved.pid !== stale.pid || moved.startTime !== stale.startTime)) {
    try {
      linkSync(aside, file);
    } catch {
      // Somebody took the lock meanwhile.
    }
  }
  rmSync(aside, { force: true });
}

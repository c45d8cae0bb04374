import { accessSync, constants, mkdirSync, mkdtempSync, symlinkSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { StackError } from './errors.ts';

/** Longest folder for sockets: a socket path may have 107 characters. */
const longestRunBase = 70;

/**
 * A path that every server takes as it is: Kafka splits `log.dirs` at commas and reads its properties as Latin-1, Java
 * under a POSIX locale cannot open names beyond ASCII.
 */
export function isPlainPath(path: string): boolean {
  return /^[A-Za-z0-9/._+@=~-]+$/.test(path);
}

/** A new private folder under the temporary folder, for sockets and links. */
export function createRunFolder(): string {
  const base = [tmpdir(), '/tmp'].find((folder) => isPlainPath(folder) && folder.length <= longestRunBase);
  if (base === undefined) {
    throw new StackError('STACK_DATA_FOLDER', `The temporary folder ${tmpdir()} is no short ASCII path: set TMPDIR.`);
  }
  return mkdtempSync(join(base, 'hotboard-'));
}

/** `target`, or where its path is not plain a link to it in the run folder. */
export function plainPath(target: string, runFolder: string, name: string): string {
  if (isPlainPath(target)) return target;
  const link = join(runFolder, name);
  symlinkSync(target, link);
  return link;
}

/** The folder for downloaded servers: HOTBOARD_CACHE, else XDG's cache folder, else `.hotboard/cache` of the project. */
export function cacheFolder(configured: string | undefined, env: NodeJS.ProcessEnv): string {
  if (configured !== undefined) return resolve(configured);
  const fromXdg = env.XDG_CACHE_HOME && isAbsolute(env.XDG_CACHE_HOME) ? env.XDG_CACHE_HOME : undefined;
  const home = fromXdg ?? join(homedir(), '.cache');
  return usable(join(home, 'hotboard')) ?? resolve('.hotboard', 'cache');
}

function usable(folder: string): string | undefined {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
    return folder;
  } catch {
    return undefined;
  }
}

/** Makes the folder. Throws `STACK_DATA_FOLDER` where it cannot be written. */
export function ensureWritable(folder: string, variable: string): void {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new StackError(
      'STACK_DATA_FOLDER',
      `${folder} cannot be written (${(cause as Error).message}): set ${variable}.`,
      {
        cause,
      },
    );
  }
}

import { join, resolve } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { isAlive } from './process-identity.ts';
import { readState } from './state-file.ts';

/**
 * The environment of a command that works on a running board from outside (`npm run repl`, `npm run migrate`): what it was
 * started with and, for servers that are not named there, those of the stack that runs on the data folder. Nothing is started.
 */
export function attachedEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  const state = readState(join(resolve(loadConfig(env).data), 'stack.json'));
  const servers = state !== null && isAlive(state.keeper) ? state.environment : null;
  return { ...servers, ...env };
}

import { rmSync } from 'node:fs';
import { endProcess, isAlive, signalProcess, waitUntilGone } from './process-identity.ts';
import { readState } from './state-file.ts';
import type { Log, StackState } from './types.ts';

const graceMs = 20_000;

/** Ends a stack whose keeper runs, from another process, and waits until nothing of it is left. */
export async function endStack(state: StackState, stateFile: string): Promise<void> {
  signalProcess(state.keeper, 'SIGTERM');
  await waitForEnd(state, stateFile);
}

/** Waits until a stack that is ending is gone. What does not end in time is killed. */
export async function waitForEnd(state: StackState, stateFile: string): Promise<void> {
  await waitUntilGone(state.keeper, graceMs + 15_000);
  await endOrphans(state, stateFile, () => {});
}

/** Ends servers whose keeper is gone: by pid and start time, never by name. Removes the state they left. */
export async function endOrphans(state: StackState, stateFile: string, log: Log): Promise<void> {
  if (isAlive(state.keeper)) await endProcess(state.keeper, 0);
  const left = state.servers.flatMap(({ name, process }) =>
    process !== null && isAlive(process) ? [{ name, process }] : [],
  );
  if (left.length > 0) {
    log(
      `ending servers that an earlier stack left: ${left.map(({ name, process }) => `${name} (process ${process.pid})`).join(', ')}`,
    );
    await Promise.all(left.map(({ process }) => endProcess(process, graceMs)));
  }
  rmSync(state.runFolder, { recursive: true, force: true });
  if (readState(stateFile)?.token === state.token) rmSync(stateFile, { force: true });
}

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * A process named so that it cannot be mistaken for a later one with the same pid: `startTime` is an opaque text that
 * only this module makes and compares.
 */
export interface ProcessIdentity {
  pid: number;
  startTime: string;
}

/** When the process started, or null where it does not run (a zombie counts as dead). */
export function startTimeOf(pid: number): string | null {
  return process.platform === 'linux' ? startTimeFromProc(pid) : startTimeFromPs(pid);
}

function startTimeFromProc(pid: number): string | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return null;
  }
  // The name in parentheses may hold spaces and parentheses: fields are counted from the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return null;
  return `${fields[19]}@${bootId()}`;
}

let knownBootId: string | undefined;

/** Ticks since boot repeat after a reboot, so the boot belongs to the identity. */
function bootId(): string {
  if (knownBootId === undefined) {
    try {
      knownBootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8);
    } catch {
      knownBootId = 'boot';
    }
  }
  return knownBootId;
}

function startTimeFromPs(pid: number): string | null {
  try {
    const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    const [state, ...started] = line.split(/\s+/);
    return state === undefined || state === '' || state.startsWith('Z') ? null : started.join(' ');
  } catch {
    return null;
  }
}

/** The identity of a running process, or null. */
export function identify(pid: number): ProcessIdentity | null {
  const startTime = startTimeOf(pid);
  return startTime === null ? null : { pid, startTime };
}

/** True while exactly this process runs. */
export function isAlive(identity: ProcessIdentity | null | undefined): boolean {
  return identity != null && startTimeOf(identity.pid) === identity.startTime;
}

/** Sends a signal to exactly this process. False where it is gone. Throws where it belongs to another user. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** Waits until the process is gone. False where it still runs after `timeoutMs`. */
export async function waitUntilGone(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(identity)) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

/** Ends a process: asks by SIGTERM, and after `graceMs` (0: at once) by SIGKILL. */
export async function endProcess(identity: ProcessIdentity, graceMs: number): Promise<void> {
  if (graceMs > 0 && signalProcess(identity, 'SIGTERM')) {
    // A stopped process takes no SIGTERM until it goes on.
    signalProcess(identity, 'SIGCONT');
    if (await waitUntilGone(identity, graceMs)) return;
  }
  signalProcess(identity, 'SIGKILL');
  await waitUntilGone(identity, 10_000);
}

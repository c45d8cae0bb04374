import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * When a process started, as the system counts it; null where there is no such process. A pid alone is no identity: it is
 * given to another process later.
 */
export function startTimeOf(pid: number): string | null {
  try {
    // field 22 of /proc/<pid>/stat; the name in field 2 may hold spaces and brackets, so count from its end
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    if (process.platform === 'linux') return null;
  }
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || null;
  } catch {
    return null;
  }
}

/** Whether the process with this pid is still the one that started then. */
export function isAlive(process: { pid: number; startTime: string }): boolean {
  return startTimeOf(process.pid) === process.startTime;
}

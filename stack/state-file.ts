import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { StackState } from './types.ts';

/** The state of the stack on a data folder; null where there is none, or none that can be read. */
export function readState(file: string): StackState | null {
  return readJson<StackState>(file);
}

/** The state holds a password: its owner alone may read it. */
export function writeState(file: string, state: StackState): void {
  writeJson(file, state);
}

export function readJson<T>(file: string): T | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as T;
  } catch {
    return null;
  }
}

/** Readers see the old content or the new, never half of it. */
export function writeJson(file: string, value: unknown): void {
  const next = `${file}.${process.pid}.next`;
  writeFileSync(next, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  renameSync(next, file);
}

import { parseArgs } from 'node:util';
import type { Mode } from './plan.ts';

export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code = 'FAULTS_USAGE';
}

const usage = 'usage: npm run faults [-- --short | --soak 8h] [-- --seed N] [-- --deadline-factor N]';
const units = { s: 1_000, m: 60_000, h: 3_600_000 } as const;

export interface Options {
  mode: Mode;
  seed: number;
  soakMs: number;
  /** Promised times count as held up to so many times the figure: on machines that others use as well. */
  deadlineFactor: number;
}

/** Without a seed, one is taken from the time. Throws `UsageError`. */
export function readOptions(args: readonly string[], nowMs: number): Options {
  let values: { short?: boolean; soak?: string; seed?: string; 'deadline-factor'?: string };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        short: { type: 'boolean' },
        soak: { type: 'string' },
        seed: { type: 'string' },
        'deadline-factor': { type: 'string' },
      },
    }));
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${usage}`);
  }
  if (values.short && values.soak !== undefined)
    throw new UsageError(`--short and --soak exclude each other\n${usage}`);
  const seed = values.seed ?? String(nowMs % 100_000);
  if (!/^[0-9]{1,8}$/.test(seed)) throw new UsageError(`--seed is ${seed}; allowed: a whole number\n${usage}`);
  const mode: Mode = values.short ? 'short' : values.soak !== undefined ? 'soak' : 'full';
  const factor = values['deadline-factor'] ?? '1';
  if (!/^[1-9][0-9]?$/.test(factor)) {
    throw new UsageError(`--deadline-factor is ${factor}; allowed: a whole number from 1 to 99\n${usage}`);
  }
  const soakMs = values.soak === undefined ? 0 : durationOf(values.soak);
  return { mode, seed: Number(seed), soakMs, deadlineFactor: Number(factor) };
}

function durationOf(text: string): number {
  const [, number, unit] = /^([0-9]+)([smh])$/.exec(text) ?? [];
  if (number === undefined) throw new UsageError(`--soak is ${text}; allowed: a time like 30m or 8h\n${usage}`);
  return Number(number) * units[unit as keyof typeof units];
}

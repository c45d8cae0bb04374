import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface Load {
  perS: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  /** Answers that were not 2xx, and requests without an answer. */
  failed: number;
}

const program = fileURLToPath(import.meta.resolve('autocannon'));

/** Requests of one address on so many connections, by autocannon in a process of its own. `perS`: at that rate, else as many as it can. */
export async function load(
  url: string,
  options: { connections: number; seconds: number; perS?: number },
): Promise<Load> {
  const args = ['--json', '-c', String(options.connections), '-d', String(options.seconds)];
  if (options.perS !== undefined) args.push('-R', String(options.perS));
  const child = spawn(process.execPath, [program, ...args, url], { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  for await (const part of child.stdout) text += part;
  const { requests, latency, non2xx, errors } = JSON.parse(text) as {
    requests: { average: number };
    latency: { p50: number; p99: number; max: number };
    non2xx: number;
    errors: number;
  };
  return {
    perS: requests.average,
    p50Ms: latency.p50,
    p99Ms: latency.p99,
    maxMs: latency.max,
    failed: non2xx + errors,
  };
}

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { StackError } from './errors.ts';

const loopback = '127.0.0.1';

/** True where a server could listen on the port of 127.0.0.1 now. */
export async function isFree(port: number): Promise<boolean> {
  return (await whyNotFree(port, loopback)) === null;
}

/** The error that listening there gives now, or null. */
function whyNotFree(port: number, host: string): Promise<NodeJS.ErrnoException | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

/**
 * Below the ports that systems give to outgoing connections. One of those could hold the port when its server starts again; even
 * a client of that server, whose attempts to connect to it come to itself one day. The upper part is left to nodes
 * (`testing/free-ports.ts`), which take theirs some time after they were looked for.
 */
const lowestPort = 10_000;
const beyondPorts = 20_000;

/** Ports that nobody listens on, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = lowestPort + Math.floor(Math.random() * (beyondPorts - lowestPort));
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

/**
 * The port for a server: the configured one (`STACK_PORT_TAKEN` where it is taken), else the one it had last time, else
 * a free one.
 */
export async function choosePort(wanted: {
  variable: string;
  configured: number;
  last: number | undefined;
}): Promise<number> {
  if (wanted.configured !== 0) {
    await demandFree(wanted.configured, wanted.variable);
    return wanted.configured;
  }
  if (wanted.last !== undefined && (await isFree(wanted.last))) return wanted.last;
  const [port] = await freePorts(1);
  return port!;
}

/**
 * Throws `STACK_PORT_TAKEN`, naming the owner and the variable that changes the port, unless a server could listen there now
 * (0 is any free port, so it always can). An address that nobody can listen on, like one of another machine, is not taken but
 * also refused, with the system's words.
 */
export async function demandFree(port: number, variable: string, host = loopback): Promise<void> {
  const error = port === 0 ? null : await whyNotFree(port, host);
  if (error === null) return;
  const place = `Port ${port} of ${host} (${variable})`;
  const taken = error.code === 'EADDRINUSE';
  const owner = taken ? portOwner(port) : null;
  const why = taken
    ? `is taken${owner === null ? '' : ` by process ${owner.pid} (${owner.command})`}: end that process, or set`
    : `can't be used (${error.message}): set`;
  throw new StackError('STACK_PORT_TAKEN', `${place} ${why} ${variable} to another port.`);
}

/** Who listens on a TCP port of this machine; null where it cannot be found (another user's process). */
export function portOwner(port: number): { pid: number; command: string } | null {
  return process.platform === 'linux' ? ownerFromProc(port) : ownerFromLsof(port);
}

function ownerFromProc(port: number): { pid: number; command: string } | null {
  const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => listeningInodes(table, port)));
  if (inodes.size === 0) return null;
  for (const name of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(name) || !holdsSocket(name, inodes)) continue;
    return { pid: Number(name), command: commandOf(name) };
  }
  return null;
}

function listeningInodes(table: string, port: number): string[] {
  let text: string;
  try {
    text = readFileSync(table, 'utf8');
  } catch {
    return [];
  }
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const listening = '0A';
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(suffix) && fields[3] === listening)
    .map((fields) => `socket:[${fields[9]}]`);
}

function holdsSocket(pid: string, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return inodes.has(readlinkSync(`/proc/${pid}/fd/${fd}`));
      } catch {
        return false;
      }
    });
  } catch {
    return false;
  }
}

function commandOf(pid: string): string {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
    const text = words.slice(0, 3).join(' ');
    return text.length > 80 ? `${text.slice(0, 79)}…` : text;
  } catch {
    return 'unknown';
  }
}

function ownerFromLsof(port: number): { pid: number; command: string } | null {
  try {
    const out = execFileSync('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fpc'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const pid = /^p([0-9]+)$/m.exec(out)?.[1];
    return pid === undefined ? null : { pid: Number(pid), command: /^c(.*)$/m.exec(out)?.[1] ?? 'unknown' };
  } catch {
    return null;
  }
}

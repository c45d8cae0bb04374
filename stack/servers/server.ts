import { open, stat } from 'node:fs/promises';
import type { Provider, ServerCommand, ServerName } from '../types.ts';

/** A server that is about to run: how it is prepared, started and asked whether it is ready. */
export interface PreparedServer {
  name: ServerName;
  provider: Provider;
  port: number;
  command: ServerCommand;
  /** Makes its data folder where there is none. */
  prepare(): Promise<void>;
  /** Its version, once it serves. Throws while it does not. */
  probe(): Promise<string>;
  /** What the version must begin with, where the artifact is pinned. */
  expectedVersion: string | null;
}

/** Where the servers of one stack live. */
export interface Places {
  /** Data folder, as the user named it. */
  data: string;
  logs: string;
  /** Private folder under the temporary folder: sockets, links to folders whose path a server would mangle. */
  run: string;
}

/**
 * The environment for a server: the user's, less what would change how the server behaves, with a UTF-8 locale. Under a
 * POSIX locale Java cannot open a file whose path goes beyond ASCII.
 */
export function serverEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const kept = Object.entries(env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined &&
      !/^(HOTBOARD_|npm_|NODE_|JEST_|MYSQL_|KAFKA_|CLASSPATH$|LC_|LANG$|LANGUAGE$)/.test(entry[0]),
  );
  const locale = process.platform === 'darwin' ? 'en_US.UTF-8' : 'C.UTF-8';
  return { ...Object.fromEntries(kept), LC_ALL: locale, LANG: locale };
}

/** The end of a log file, from `offset` on at most. */
export async function readLog(file: string, offset: number, bytes: number): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const from = Math.max(offset, size - bytes);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(Math.max(0, size - from)), 0, null, from);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}

export async function logSize(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

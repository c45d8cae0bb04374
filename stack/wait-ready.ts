import { StackError } from './errors.ts';
import { logSize, type PreparedServer, readLog } from './servers/server.ts';

/**
 * Waits until a started server serves, and returns its version. Throws `STACK_SERVER_FAILED`, with the end of its log,
 * where it ends before or takes longer than `timeoutMs`, or is not what the pinned artifact should be.
 */
export async function waitReady(
  server: PreparedServer,
  options: { timeoutMs: number; logStart: number; hasEnded: () => string | null },
): Promise<string> {
  const deadline = performance.now() + options.timeoutMs;
  let last: unknown;
  for (;;) {
    const ended = options.hasEnded();
    if (ended !== null) throw await failure(server, options.logStart, `ended while it started (${ended})`, last);
    try {
      return checkVersion(server, await server.probe());
    } catch (error) {
      if (error instanceof StackError) throw error;
      last = error;
    }
    if (performance.now() > deadline) {
      const seconds = Math.round(options.timeoutMs / 1000);
      throw await failure(server, options.logStart, `did not answer within ${seconds} s`, last);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function checkVersion(server: PreparedServer, version: string): string {
  if (server.expectedVersion !== null && !version.startsWith(server.expectedVersion)) {
    throw new StackError(
      'STACK_SERVER_FAILED',
      `${server.name} answers as version ${version}, ${server.expectedVersion} was expected: remove the cache folder of ` +
        `${server.command.command} and start again.`,
    );
  }
  return version;
}

async function failure(server: PreparedServer, logStart: number, what: string, cause: unknown): Promise<StackError> {
  const { logFile } = server.command;
  const tail = (await logSize(logFile)) > 0 ? await readLog(logFile, logStart, 20_000) : '';
  const telling = tail.split('\n').filter((line) => /error|fatal|exception|cannot|can't|denied/i.test(line));
  const said = (telling.length > 0 ? telling : tail.trim().split('\n')).slice(-3).join(' | ').slice(-600);
  return new StackError(
    'STACK_SERVER_FAILED',
    `${server.name} ${what}: ${said || 'it logged nothing'} (log: ${logFile})`,
    {
      cause,
    },
  );
}

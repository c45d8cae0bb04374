import { execFile } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

/** The path of a program: on the PATH, or in one of the further folders; null where it is in none. */
export function findProgram(name: string, env: NodeJS.ProcessEnv, further: readonly string[] = []): string | null {
  const folders = [...(env.PATH ?? '').split(delimiter).filter(Boolean), ...further];
  for (const folder of folders) {
    const file = join(folder, name);
    if (isExecutable(file)) return file;
  }
  return null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** All that a program prints within `timeoutMs`; throws where it fails or takes longer. */
export async function output(
  command: string,
  args: readonly string[],
  options: { timeoutMs: number; env: NodeJS.ProcessEnv; cwd?: string },
): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(command, [...args], {
    timeout: options.timeoutMs,
    killSignal: 'SIGKILL',
    env: options.env,
    cwd: options.cwd,
    maxBuffer: 16 * 1024 * 1024,
  });
  return stdout + stderr;
}

export type JavaFound = { java: string; version: string } | { lacks: string };

const knownJava = new Map<string, Promise<JavaFound>>();

/** A Java that can run Kafka, or why there is none. */
export async function findJava(env: NodeJS.ProcessEnv): Promise<JavaFound> {
  const fromHome = env.JAVA_HOME ? join(env.JAVA_HOME, 'bin') : null;
  const java = (fromHome && findProgram('java', { PATH: fromHome })) ?? findProgram('java', env);
  if (java === null)
    return { lacks: 'java is not on the PATH (install Java 17 or newer, e.g. openjdk-17-jre-headless)' };
  const known = knownJava.get(java) ?? examineJava(java, env);
  knownJava.set(java, known);
  return known;
}

async function examineJava(java: string, env: NodeJS.ProcessEnv): Promise<JavaFound> {
  try {
    const version = await output(java, ['-version'], { timeoutMs: 15_000, env });
    const major = javaVersion(version);
    if (major !== null && major < 17) return { lacks: `${java} is Java ${major}; 17 or newer is needed` };
    return { java, version };
  } catch (error) {
    return { lacks: `${java} does not run (${(error as Error).message.split('\n')[0]})` };
  }
}

/** `openjdk version "17.0.15"` → 17, `java version "1.8.0_392"` → 8. */
export function javaVersion(text: string): number | null {
  const found = /version "([0-9]+)(?:\.([0-9]+))?/.exec(text);
  if (found === null) return null;
  return found[1] === '1' ? Number(found[2]) : Number(found[1]);
}

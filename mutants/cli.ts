import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Mutant, mutants } from './list.ts';
import { intMutants } from './list-int.ts';

/**
 * `npm run mutants [-- --only <pattern of names>] [--int]`: breaks the code in one way after the other, each in a copy of the tree, and
 * lets the simulator and unit tests look at it; with `--int` those of `list-int.ts`, and integration tests on the tests' servers. Prints what killed each; exits with 1 where one survives, or where its place is
 * no longer in the code.
 */
const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    workers: { type: 'string', default: '' },
    int: { type: 'boolean', default: false },
  },
});
const chosen = (values.int ? intMutants : mutants).filter(({ name }) => new RegExp(values.only).test(name));
// each with servers of its own has enough to do
const workers = Number(values.workers) || (values.int ? 1 : Math.min(2, availableParallelism()));
/** Runs of the simulator that a mutant has to survive. */
const simulatorRuns = 40;
/** Others may use the machine as well. */
const limitMs = 400_000;

interface Verdict {
  mutant: Mutant;
  /** What killed it; null: it survives. */
  killedBy: string | null;
  ms: number;
}

const root = process.cwd();
const folders = Array.from({ length: workers }, () => copyOfTree());
try {
  process.exitCode = (await main()) ? 0 : 1;
} finally {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}

async function main(): Promise<boolean> {
  for (const mutant of chosen) broken(mutant);
  const startedMs = performance.now();
  const unbroken = await judge(folders[0]!, [...new Set(chosen.flatMap(({ tests = [] }) => tests))], 1);
  if (unbroken !== null) {
    console.log(`The code itself is caught by ${unbroken}: what kills a mutant then says nothing.`);
    return false;
  }
  const verdicts: Verdict[] = [];
  const queue = [...chosen];
  await Promise.all(
    folders.map(async (folder) => {
      for (let mutant = queue.shift(); mutant; mutant = queue.shift()) verdicts.push(await verdictOn(folder, mutant));
    }),
  );
  const survivors = verdicts.filter(({ killedBy }) => killedBy === null);
  console.log(`\n${table(verdicts)}\n`);
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  console.log(
    `mutants: ${verdicts.length - survivors.length} passed, ${survivors.length} failed (${verdicts.length} broken variants, ${seconds} s)`,
  );
  return survivors.length === 0;
}

async function verdictOn(folder: string, mutant: Mutant): Promise<Verdict> {
  const startedMs = performance.now();
  const place = join(folder, mutant.file);
  writeFileSync(place, broken(mutant));
  const killedBy = await judge(folder, mutant.tests ?? [], mutant.seed ?? 1);
  writeFileSync(place, readFileSync(join(root, mutant.file)));
  const ms = Math.round(performance.now() - startedMs);
  console.log(`${killedBy === null ? 'SURVIVES' : 'killed'}  ${mutant.name} (${killedBy ?? 'by nothing'}, ${ms} ms)`);
  return { mutant, killedBy, ms };
}

/** What sees that the code in this folder is broken; null: nothing does. */
async function judge(folder: string, tests: readonly string[], seed: number): Promise<string | null> {
  if (tests.length > 0) {
    const jest = [
      '--experimental-vm-modules',
      'node_modules/jest/bin/jest.js',
      ...tests,
      '--bail',
      '--selectProjects',
      values.int ? 'int' : 'unit',
    ];
    const { code, output } = await node(folder, jest);
    if (code !== 0)
      return `${values.int ? 'integration' : 'unit'} test: ${/● (.*)/.exec(output)?.[1]?.replace(' › ', ': ') ?? lastLine(output)}`;
  }
  if (values.int) return null;
  const { code, output } = await node(folder, [
    'sim/cli.ts',
    '--runs',
    String(simulatorRuns),
    '--seed',
    String(seed),
    '--first',
  ]);
  if (code === 0) return null;
  return `simulator: ${/^(seed .*)$/m.exec(output)?.[1] ?? lastLine(output)}`;
}

function broken({ name, file, find, replace, also = [] }: Mutant): string {
  let text = readFileSync(join(root, file), 'utf8');
  for (const change of [{ find, replace }, ...also]) {
    const places = text.split(change.find).length - 1;
    if (places !== 1) throw new Error(`${name}: its place is ${places} times in ${file}:\n${change.find}`);
    text = text.replace(change.find, () => change.replace);
  }
  return text;
}

function copyOfTree(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hotboard-mutants-'));
  const left = new Set(['node_modules', '.git', '.hotboard', 'dist', 'docs']);
  cpSync(root, folder, {
    recursive: true,
    filter: (source) => !left.has(source.slice(root.length + 1).split('/')[0]!),
  });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

function node(folder: string, args: readonly string[]): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      output += text;
    });
  }
  const timer = setTimeout(() => {
    output += `\nno end within ${limitMs / 1000} s`;
    child.kill('SIGKILL');
  }, limitMs);
  return new Promise((resolve) => {
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? 1, output });
    });
  });
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}

function table(verdicts: readonly Verdict[]): string {
  const rows = chosen.map((mutant) => {
    const { killedBy, ms } = verdicts.find((verdict) => verdict.mutant === mutant)!;
    return [mutant.name, mutant.file, killedBy ?? 'SURVIVES', String(ms)];
  });
  const all = [['mutant', 'file', 'killed by', 'ms'], ...rows];
  const widths = [0, 1].map((column) => Math.max(...all.map((row) => row[column]!.length)));
  return all
    .map(
      ([name, file, by, ms]) => `${name!.padEnd(widths[0]!)}  ${file!.padEnd(widths[1]!)}  ${ms!.padStart(6)}  ${by}`,
    )
    .join('\n');
}

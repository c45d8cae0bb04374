import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { endProcess, identify, type ProcessIdentity } from './process-identity.ts';
import { readState, writeState } from './state-file.ts';
import type { KeeperPlan, KeeperReply, KeeperRequest, ServerCommand, ServerName, StackState } from './types.ts';

/**
 * The keeper: the process that starts the servers of a stack as its children and ends them. It runs in a session of its
 * own, and ends everything when the channel to who started it closes - that is also what a kill -9 does - unless it was
 * told to detach; then it runs until SIGTERM (`stack down`). It starts nothing by itself: a test that kills a server wants it
 * dead, and a person sees it in `stack status`.
 */
interface Running {
  command: ServerCommand;
  child: ChildProcess;
  identity: ProcessIdentity | null;
}

const largestLogBytes = 10 * 1024 * 1024;
const children = new Map<ServerName, Running>();
let plan: KeeperPlan | null = null;
let state: StackState | null = null;
let ending = false;
let detached = false;

process.on('message', (message) => {
  const request = message as KeeperRequest;
  handle(request).then(
    (reply) => answer({ id: request.id, ...reply }),
    (error: Error) => answer({ id: request.id, error: error.message }),
  );
});
process.on('disconnect', () => {
  if (!detached) void end(plan?.throwAwayFolder != null);
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end(false));
process.on('SIGHUP', () => {});

function answer(reply: KeeperReply, sent: () => void = () => {}): void {
  if (process.connected) process.send?.(reply, undefined, undefined, sent);
  else sent();
}

async function handle(request: KeeperRequest): Promise<{ process?: ProcessIdentity }> {
  switch (request.do) {
    case 'plan':
      plan = request.plan;
      state = {
        token: plan.token,
        startedAt: new Date().toISOString(),
        keeper: identify(process.pid)!,
        owner: plan.owner,
        startedBy: plan.startedBy,
        ending: false,
        servers: [],
        environment: null,
        runFolder: plan.runFolder,
      };
      save();
      return {};
    case 'start':
      return { process: await start(request.server) };
    case 'adopt':
      describe(request.servers);
      state!.environment = request.environment;
      save();
      return {};
    case 'stop':
      await stop(request.name);
      return {};
    case 'detach':
      detached = true;
      state!.owner = null;
      save();
      return {};
    case 'end':
      await end(request.hard, request.id);
      return {};
  }
}

/** What is known of the servers once they answer. Processes are the keeper's own knowledge. */
function describe(servers: StackState['servers']): void {
  state!.servers = servers.map((server) => ({ ...server, process: children.get(server.name)?.identity ?? null }));
}

function start(command: ServerCommand): Promise<ProcessIdentity> {
  if (ending) throw new Error('the stack is ending');
  if (children.has(command.name)) throw new Error(`${command.name} runs already`);
  const log = openLog(command);
  const child = spawn(command.command, command.args, {
    cwd: command.cwd,
    env: command.env,
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      children.delete(command.name);
      reject(error);
    });
    child.once('spawn', () => {
      const identity = identify(child.pid!);
      children.set(command.name, { command, child, identity });
      record(command.name, identity);
      child.once('exit', (code, signal) => {
        children.delete(command.name);
        record(command.name, null);
        note(`${command.name} (process ${child.pid}) has ended: ${signal ?? `code ${code}`}`);
        answer({ exited: command.name, pid: child.pid!, code, signal });
      });
      // One that died within a moment has no identity any more; its exit follows.
      resolve(identity ?? { pid: child.pid!, startTime: 'ended' });
    });
  });
}

/** The state file names a server from its first moment on, so that whoever comes after a kill -9 of the keeper finds it. */
function record(name: ServerName, identity: ProcessIdentity | null): void {
  if (state === null) return;
  const known = state.servers.find((server) => server.name === name);
  if (known) known.process = identity;
  else state.servers.push({ name, provider: 'embedded', endpoint: '', version: '', port: 0, process: identity });
  save();
}

function save(): void {
  if (plan === null || state === null || (ending && plan.throwAwayFolder !== null)) return;
  try {
    writeState(plan.stateFile, state);
  } catch (error) {
    note(`the state file cannot be written: ${(error as Error).message}`);
  }
}

/** To logs/keeper.log of the data folder. */
function note(line: string): void {
  process.stderr.write(`${new Date().toISOString()} ${line}\n`);
}

function openLog(command: ServerCommand): number {
  mkdirSync(dirname(command.logFile), { recursive: true });
  try {
    if (statSync(command.logFile).size > largestLogBytes) renameSync(command.logFile, `${command.logFile}.1`);
  } catch {
    // There is no log yet.
  }
  const log = openSync(command.logFile, 'a', 0o600);
  writeSync(log, `--- ${new Date().toISOString()} ${command.name} starts\n`);
  return log;
}

async function stop(name: ServerName): Promise<void> {
  const running = children.get(name);
  if (running === undefined) return;
  await endChild(running, running.command.stopGraceMs);
}

async function endChild(running: Running, graceMs: number): Promise<void> {
  if (running.identity === null || running.child.exitCode !== null || running.child.signalCode !== null) return;
  const exited = new Promise((resolve) => running.child.once('exit', resolve));
  await endProcess(running.identity, graceMs);
  await exited;
}

async function end(hard: boolean, requestId?: number): Promise<void> {
  if (ending) return;
  ending = true;
  if (state !== null) state.ending = true;
  save();
  await Promise.all([...children.values()].map((running) => endChild(running, hard ? 0 : running.command.stopGraceMs)));
  for (const { command, args, cwd } of plan?.endCommands ?? []) {
    spawnSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'], timeout: 60_000 });
  }
  if (plan !== null) {
    if (readState(plan.stateFile)?.token === plan.token) rmSync(plan.stateFile, { force: true });
    rmSync(plan.runFolder, { recursive: true, force: true });
    if (plan.throwAwayFolder !== null) rmSync(plan.throwAwayFolder, { recursive: true, force: true, maxRetries: 5 });
  }
  const exit = () => process.exit(0);
  if (requestId === undefined) exit();
  else answer({ id: requestId }, exit);
}

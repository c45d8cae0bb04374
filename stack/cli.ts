import { resolve } from 'node:path';
import { ConfigError, loadConfig } from '../config/load.ts';
import { StackError } from './errors.ts';
import { down, reset, status } from './manage.ts';
import { startStack } from './stack.ts';
import { statusTable } from './status-table.ts';

const usage = `npm run stack -- up | down | status | reset   [--json]

  up      starts MySQL, Redis and Kafka, unless they run, and leaves them running
  down    ends what up started; the data stays
  status  shows what runs, and the nodes of npm start; with --json as one JSON object
  reset   deletes the data; refused while anything runs

npm run config lists the HOTBOARD_* variables that choose servers, ports and folders.`;

const commands = { up, down: runDown, status: runStatus, reset: runReset } as const;

const [name = '', ...options] = process.argv.slice(2);
const wrong = findWrong();
if (name === 'help' || name === '--help' || name === '-h') {
  console.log(usage);
} else if (wrong !== null) {
  console.error(`stack: ${wrong}.`);
  process.exitCode = 2;
} else {
  try {
    await commands[name as keyof typeof commands](options.includes('--json'));
  } catch (error) {
    if (!(error instanceof StackError) && !(error instanceof ConfigError)) throw error;
    console.error(`stack: ${error.message}`);
    process.exitCode = 1;
  }
}

function findWrong(): string | null {
  const allowed = Object.keys(commands).join(', ');
  if (name === '') return `a command is needed: ${allowed}`;
  if (!(name in commands)) return `there is no command "${name}"; allowed: ${allowed}`;
  const option = options.find((given) => given !== '--json');
  return option === undefined ? null : `there is no option "${option}"; allowed: --json`;
}

function dataFolder(): string {
  return resolve(loadConfig(process.env).data);
}

async function up(json: boolean): Promise<void> {
  const config = loadConfig(process.env);
  const log = (line: string) => console.error(`stack: ${line}`);
  const started = performance.now();
  const stack = await startStack({
    config,
    env: process.env,
    data: config.data,
    log,
    startedBy: 'stack up',
    detach: true,
  });
  if (json) {
    console.log(JSON.stringify({ servers: stack.servers, environment: stack.environment }));
    return;
  }
  console.log(statusTable({ servers: stack.servers, nodes: [] }));
  if (stack.reused) return;
  console.log(
    `\nReady in ${((performance.now() - started) / 1000).toFixed(1)} s; npm start and npm run migrate find it by itself.`,
  );
  console.log('For other programs:\n');
  for (const [variable, value] of Object.entries(stack.environment)) console.log(`export ${variable}='${value}'`);
  console.log('\nThey run until: npm run stack -- down');
}

async function runDown(): Promise<void> {
  const data = dataFolder();
  console.log((await down(data)) ? `ended the stack on ${data}; the data stays` : `no stack runs on ${data}`);
}

async function runStatus(json: boolean): Promise<void> {
  const config = loadConfig(process.env);
  const now = await status(config);
  console.log(json ? JSON.stringify(now) : statusTable(now));
}

async function runReset(): Promise<void> {
  const data = dataFolder();
  const removed = await reset(data, process.env);
  console.log(removed.length > 0 ? `deleted ${removed.join(', ')} in ${data}` : `there was no data in ${data}`);
}

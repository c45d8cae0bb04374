import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startBoard } from './cluster/board.ts';
import { exitCodeOfBadConfig } from './cluster/messages.ts';
import { planCluster } from './cluster/plan.ts';
import { SupervisedProcess } from './cluster/supervised-process.ts';
import { ConfigError, loadConfig } from './config/load.ts';
import { readCluster } from './stack/cluster-file.ts';
import { demandFree } from './stack/ports.ts';

// `npm start`: servers, migrations and topics, then the nodes under one supervisor, and demo traffic (`-- --no-demo`: none).
// Ctrl-C drains and ends all that this process started.

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  if (process.env.HOTBOARD_LOG_LEVEL === 'debug') console.error(error);
  process.exit(error instanceof ConfigError ? exitCodeOfBadConfig : 1);
}

async function main(): Promise<void> {
  const startedMs = performance.now();
  const options = process.argv.slice(2);
  const unknown = options.find((option) => option !== '--no-demo');
  if (unknown !== undefined) throw new ConfigError(`${unknown} is no option; usage: npm start [-- --no-demo]`);

  const config = loadConfig(process.env);
  const dataFolder = resolve(config.data);
  const other = readCluster(dataFolder);
  if (other !== null) {
    throw new Error(
      `A Hotboard runs already on ${dataFolder}: process ${other.pid}. "npm run stack -- status" shows it.`,
    );
  }
  for (const node of planCluster(config)) {
    if (node.httpPort !== null) await demandFree(node.httpPort, 'HOTBOARD_HTTP_PORT', config.httpHost);
    await demandFree(node.opsPort, 'HOTBOARD_OPS_PORT', config.opsHost);
  }

  const log = (from: string, text: string) => console.log(`${from.padEnd(13)} | ${text}`);
  const say = (text: string) => log('hotboard', text);

  // Ctrl-C often arrives twice, and npm may be gone as well: the first one stops, the others wait for it.
  const stops: (() => Promise<void>)[] = [];
  let stopping: Promise<void> | undefined;
  const end = async (why: string) => {
    stopping ??= (async () => {
      say(`${why}: stopping.`);
      for (const stop of stops) await stop();
      say('Stopped.');
    })();
    await stopping;
    process.exit(0);
  };
  process.on('SIGINT', () => end('Ctrl-C'));
  process.on('SIGTERM', () => end('SIGTERM'));
  whenParentIsGone(() => end('npm is gone'));

  const board = await startBoard({ env: process.env, log, reviveServers: true });
  stops.push(() => board.stop());
  if (stopping !== undefined) return;
  say(
    `The board is at ${board.gateways.map((address) => address.replace('127.0.0.1', 'localhost')).join(' and ')} after ${((performance.now() - startedMs) / 1000).toFixed(1)} s.`,
  );
  say('Ctrl-C stops it. "npm run stack -- status" shows servers and nodes, each with its ops port.');
  if (!options.includes('--no-demo')) {
    const demo = startDemo(board.gateways, log);
    stops.unshift(() => demo.stop(config.shutdownMs));
    say('Demo users write, comment, like and look; "npm start -- --no-demo" leaves them out.');
  }
}

function startDemo(gateways: readonly string[], log: (from: string, text: string) => void): SupervisedProcess {
  const script = fileURLToPath(new URL('./demo/traffic.ts', import.meta.url));
  const demo = new SupervisedProcess(
    { name: 'demo', args: ['--disable-warning=ExperimentalWarning', script, ...gateways], env: process.env },
    {
      line: log,
      ready: () => {},
      crashed: (name, how, restartInMs) => log(name, `${how}; started again in ${restartInMs} ms`),
    },
  );
  demo.start();
  return demo;
}

/** npm killed with SIGKILL leaves us to another parent, without any signal. */
function whenParentIsGone(callback: () => void): void {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    callback();
  }, 1000);
  watch.unref();
}

import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import moleculer, { type BrokerOptions, type Context } from 'moleculer';
import { KafkaTransporter } from '../transporter/kafka-transporter.ts';

// One Moleculer node of the transporter bench, in a process of its own. Orders come over the process channel.

export type NodeOrder =
  | { do: 'calls'; callers: number; bytes: number; durationMs: number }
  | { do: 'usage' }
  | { do: 'stop' };

export interface CallsAnswer {
  latenciesMs: number[];
  failed: number;
  elapsedMs: number;
}

/** Since the start of the process. */
export interface UsageAnswer {
  cpuMs: number;
  socketBytes: number;
  atMs: number;
}

const [kind, role, namespace, brokers] = process.argv.slice(2) as [
  'own' | 'stock',
  'worker' | 'caller',
  string,
  string,
];

const sockets: Socket[] = [];
subscribe('net.client.socket', (message) => {
  sockets.push((message as { socket: Socket }).socket);
});

const broker = new moleculer.ServiceBroker({
  namespace,
  nodeID: `${kind}-${role}`,
  logger: false,
  requestTimeout: 20_000,
  transporter:
    kind === 'own'
      ? (new KafkaTransporter({ connection: { brokers: brokers.split(',') } }) as never)
      : ({ type: 'Kafka', options: { bootstrapBrokers: brokers.split(',') } } as BrokerOptions['transporter']),
});
if (role === 'worker') {
  broker.createService({ name: 'echo', actions: { say: (ctx: Context<{ text: string }>) => ctx.params.text } });
}
await broker.start();
if (role === 'caller') await broker.waitForServices('echo', 60_000, 20);
process.send!('ready');

process.on('message', (order: NodeOrder) => void carryOut(order));
process.on('disconnect', () => process.exit(0));

async function carryOut(order: NodeOrder): Promise<void> {
  if (order.do === 'calls') process.send!(await calls(order));
  else if (order.do === 'usage') process.send!(usage());
  else {
    await Promise.race([broker.stop(), pause(5_000)]);
    process.exit(0);
  }
}

/** So many callers, each with one call after the other, for so long. */
async function calls({ callers, bytes, durationMs }: NodeOrder & { do: 'calls' }): Promise<CallsAnswer> {
  const text = 'x'.repeat(bytes);
  const latenciesMs: number[] = [];
  let failed = 0;
  const startedMs = performance.now();
  const endMs = startedMs + durationMs;
  const caller = async () => {
    while (performance.now() < endMs) {
      const calledMs = performance.now();
      const answer = await broker.call<string, { text: string }>('echo.say', { text }).catch(() => null);
      if (answer?.length === bytes) latenciesMs.push(performance.now() - calledMs);
      else failed++;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return { latenciesMs, failed, elapsedMs: performance.now() - startedMs };
}

function usage(): UsageAnswer {
  const { user, system } = process.cpuUsage();
  const socketBytes = sockets.reduce((sum, { bytesRead, bytesWritten }) => sum + bytesRead + bytesWritten, 0);
  return { cpuMs: (user + system) / 1_000, socketBytes, atMs: performance.now() };
}

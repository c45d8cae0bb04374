import { createPlatformaticPort } from '../../kafka/platformatic/platformatic-port.ts';
import { createRelay } from '../../relay/relay.ts';
import { createMysqlStore } from '../../relay/sources/mysql-store.ts';
import { buckets } from './outbox.ts';
import type { FromRelay, RelaySettings, ToRelay } from './relay-child.ts';
import { createTrace } from './trace.ts';
import { nowMs } from './watch.ts';

// A relay alone in a process, told what to do by its parent. What it says is in `FromRelay`.

const settings = JSON.parse(process.argv[2]!) as RelaySettings;
const trace = settings.traces ? createTrace() : undefined;
const port = createPlatformaticPort({ brokers: settings.brokers, clientId: 'bench-relay' });
let deleted = 0;
let startedMs = nowMs();
let cpuBefore = process.cpuUsage();
let beganUs = hrtimeUs();

const relay = createRelay({
  sources: [
    {
      ...{ name: 'like', url: settings.url, topic: settings.topic, partitions: settings.partitions },
      // As the relay makes it.
      store: trace?.store(createMysqlStore({ url: settings.url, leaseTimeoutMs: 2_500 })),
    },
  ],
  buckets,
  delivery: settings.delivery,
  topicPrefix: settings.topic,
  kafka: trace?.kafka(port) ?? port,
  logger: { debug: () => {}, info: () => {}, warn: console.error, error: console.error },
  metrics: {
    set: () => {},
    observe: () => {},
    add: (name, _labels, by) => {
      if (name !== 'deleted') return;
      deleted += by;
      if (deleted === settings.doneAfter) say({ kind: 'done', atMs: nowMs(), ...used() });
    },
  },
});

process.on('message', async (message: ToRelay) => {
  if (message.kind === 'nudge') {
    trace?.nudged();
    relay.nudge('like', message.buckets);
  } else if (message.kind === 'measure') {
    trace?.take();
    [startedMs, cpuBefore, beganUs] = [nowMs(), process.cpuUsage(), hrtimeUs()];
  } else {
    const atEnd = { ...used(), trace: trace?.take() };
    await relay.stop();
    process.send!({ kind: 'end', ...atEnd } satisfies FromRelay, () => process.disconnect());
  }
});
// Also where the parent died.
process.on('disconnect', () => process.exit());

await relay.start();
say({ kind: 'started', atMs: startedMs });

function say(message: FromRelay): void {
  process.send!(message);
}

function used() {
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    elapsedMs: nowMs() - startedMs,
    span: [beganUs, hrtimeUs()] as [number, number],
    cpuMs: (user + system) / 1000,
    rssMb: process.memoryUsage.rss() / 2 ** 20,
    maxRssMb: process.resourceUsage().maxRSS / 1024,
  };
}

function hrtimeUs(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

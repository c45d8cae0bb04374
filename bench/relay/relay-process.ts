import { headerNames } from '../../events/envelope.ts';
import { createPlatformaticPort } from '../../kafka/platformatic/platformatic-port.ts';
import type { OutgoingMessage, TransactionalKafkaPort } from '../../kafka/port.ts';
import { createRelay } from '../../relay/relay.ts';
import { buckets } from './outbox.ts';
import { type FromRelay, nowMs, type RelaySettings, type ToRelay } from './relay-child.ts';

// A relay alone in a process, told what to do by its parent. What it says is in `FromRelay`.

const settings = JSON.parse(process.argv[2]!) as RelaySettings;
const acknowledgedMs: [eventId: string, atMs: number][] = [];
const port = createPlatformaticPort({ brokers: settings.brokers, clientId: 'bench-relay' });
let deleted = 0;
let startedMs = nowMs();
let cpuBefore = process.cpuUsage();
let beganUs = hrtimeUs();

const relay = createRelay({
  sources: [{ name: 'like', url: settings.url, topic: settings.topic, partitions: settings.partitions }],
  buckets,
  delivery: settings.delivery,
  topicPrefix: settings.topic,
  kafka: settings.timesAcknowledgements ? timed(port) : port,
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
  if (message.kind === 'nudge') relay.nudge('like', message.buckets);
  else if (message.kind === 'measure') [startedMs, cpuBefore, beganUs] = [nowMs(), process.cpuUsage(), hrtimeUs()];
  else {
    const atEnd = used();
    await relay.stop();
    process.send!({ kind: 'end', acknowledgedMs, ...atEnd } satisfies FromRelay, () => process.disconnect());
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

/** Notes when each event was acknowledged. */
function timed(kafka: TransactionalKafkaPort): TransactionalKafkaPort {
  const note = (messages: readonly OutgoingMessage[]) => {
    const atMs = nowMs();
    for (const { headers } of messages) if (headers) acknowledgedMs.push([String(headers[headerNames.id]), atMs]);
  };
  return {
    ...kafka,
    publisher(options) {
      const publisher = kafka.publisher(options);
      return {
        close: () => publisher.close(),
        async publish(messages) {
          const report = await publisher.publish(messages);
          note(messages);
          return report;
        },
      };
    },
    transactionalPublisher(options) {
      const publisher = kafka.transactionalPublisher(options);
      return {
        ...{ fence: () => publisher.fence(), close: () => publisher.close() },
        async transaction(messages) {
          const done = await publisher.transaction(messages);
          note(messages);
          return done;
        },
      };
    },
  };
}

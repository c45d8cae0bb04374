import type { GapAnswer } from '../inbox/gaps/answer.ts';
import { createInbox } from '../inbox/inbox.ts';
import type { InboxEvent, InboxTransaction } from '../inbox/types.ts';
import { topic } from './broker.ts';
import { type ProjectionRow, readProjection, writeProjection } from './inbox-database.ts';
import { catalogue, type Parts, type Work } from './parts.ts';
import type { Process } from './world.ts';

/** A real inbox. */
export function startConsumer(parts: Parts, process: Process): Work {
  const { plan, faults, group, world } = parts;
  const inbox = createInbox({
    ...{ group: 'sim', groupId: 'sim', mode: plan.mode, topics: [topic], catalogue },
    handlers: { '*': { handleBatch: applyToProjection } },
    store: parts.inbox.storeFor(process),
    kafka: {
      consumer: (options) => group.consumer(process, options),
      admin: () => ({ offsets: async () => [], close: async () => {} }) as never,
    },
    clock: process.clock,
    metrics: {
      count: (name, by, labels) => faults.decided(decisionOf(name, labels), by),
      gauge: () => {},
      observe: () => {},
    },
    random: () => world.random.next(),
    ...{ batchSize: 15, handlerAttempts: 3, handlerTimeoutMs: 3_000, parkedLimit: 200 },
    ...{ gapLimitMs: 600, gapPollMs: 400, lagPollMs: 20_000, stallMs: 20_000 },
    askProducer: (gap) => ask(parts, process, gap.aggregateId, gap.version),
  });
  void inbox.start();
  return { stop: () => inbox.stop(), nudge: () => {} };
}

/** What the producer's action for gaps answers. */
function ask({ network, source, messageOf }: Parts, process: Process, aggregate: string, version: bigint) {
  const away = () => new Error('the producer is away');
  return network.call(
    { process, server: 'source', refused: away, answerLost: away, timedOut: away, timeoutMs: 1_000 },
    'ask',
    (): GapAnswer => {
      const { events, pending } = source.tables;
      const event = [...events.values()].find(
        (each) => each.aggregateId === aggregate && each.version === String(version),
      );
      if (!event) return { answer: 'pending' };
      const waiting = pending.get(Number(event.id));
      if (waiting) return { answer: waiting.state === 2 ? 'dead' : 'pending' };
      const { key, value, headers } = messageOf(event.id);
      const bytes = Object.entries(headers ?? {}).map(([name, text]) => [name, Buffer.from(text as Buffer)]);
      return { answer: 'event', message: { key: key!, value: value!, headers: Object.fromEntries(bytes) } };
    },
  );
}

const decisionNames = new Map<string, string>();

function decisionOf(metric: string, labels: Readonly<Record<string, unknown>> | undefined): string {
  const name = labels ? `${metric} ${Object.values(labels).join(' ')}` : metric;
  const known = decisionNames.get(name);
  if (known !== undefined) return known;
  const words = name.replace(/\.total\b/, '').replaceAll('.', ' ');
  decisionNames.set(name, words);
  return words;
}

/** Reads what is there, adds to it and writes it back: right only where the stream's lock keeps others out. */
async function applyToProjection(tx: InboxTransaction, events: readonly InboxEvent[]): Promise<void> {
  const aggregates = [...new Set(events.map(({ aggregateId }) => aggregateId))].sort();
  const rows = await tx.query<ProjectionRow | undefined>(readProjection, aggregates);
  const projection = new Map(
    aggregates.map((name, at) => [name, { ...(rows[at] ?? { version: 0, applied: 0, sum: 0, likes: 0 }) }]),
  );
  for (const { aggregateId, version, payload } of events) {
    const row = projection.get(aggregateId)!;
    row.version = Number(version);
    row.applied++;
    row.sum += Number(version);
    row.likes = (payload as { likes: number }).likes;
  }
  await tx.write(writeProjection, [...projection, ...events]);
}

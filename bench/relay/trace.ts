import { tracingChannel } from 'node:diagnostics_channel';
import { headerNames } from '../../events/envelope.ts';
import type { OutgoingMessage, TransactionalKafkaPort } from '../../kafka/port.ts';
import type { SourceStore } from '../../relay/sources/store.ts';
import { nowMs, type Pauses, type Span, watchPauses } from './watch.ts';

/** What a relay process did, and when. */
export interface RelayTrace {
  /** When each nudge came, in order. */
  nudgedMs: number[];
  /** Statements that read events: how many, and the ids of those that no statement had read before. */
  reads: (Span & { rows: number; eventIds: string[] })[];
  /** Calls of the publishers. */
  sends: (Span & { eventIds: string[] })[];
  deletes: (Span & { buckets: number[] })[];
  /** Requests to the brokers, by the name of their API. */
  requests: (Span & { api: string })[];
  pauses: Pauses;
}

const apis: Readonly<Record<number, string>> = {
  0: 'produce',
  22: 'init',
  24: 'add partitions',
  26: 'end transaction',
};

/** Notes what a relay asks of its database and its brokers. */
export function createTrace() {
  const takePauses = watchPauses();
  let trace = empty();
  const read = new Set<string>();
  /** When the read of the head began that showed a row which is yet to be fetched. */
  const headsMs = new Map<string, number>();

  // The client library tells of each request on this channel.
  const begunMs = new WeakMap<object, number>();
  tracingChannel('plt:kafka:connections:api').subscribe({
    start: (request: object) => void begunMs.set(request, nowMs()),
    asyncStart(request: object) {
      const fromMs = begunMs.get(request);
      const { apiKey } = request as { apiKey: number };
      if (fromMs !== undefined) trace.requests.push({ api: apis[apiKey] ?? `${apiKey}`, fromMs, toMs: nowMs() });
    },
    end() {},
    asyncEnd() {},
    error() {},
  });

  const noteRead = (fromMs: number, events: readonly { eventId: string }[]) => {
    const eventIds = events.map(({ eventId }) => eventId).filter((id) => !read.has(id));
    for (const id of eventIds) read.add(id);
    trace.reads.push({ fromMs, toMs: nowMs(), rows: events.length, eventIds });
  };
  async function send<Answer>(messages: readonly OutgoingMessage[], work: () => Promise<Answer>): Promise<Answer> {
    const fromMs = nowMs();
    const answer = await work();
    const eventIds = messages.flatMap(({ headers }) => (headers ? [String(headers[headerNames.id])] : []));
    trace.sends.push({ fromMs, toMs: nowMs(), eventIds });
    return answer;
  }

  return {
    nudged: () => void trace.nudgedMs.push(nowMs()),
    /** What was noted since the last call. */
    take(): RelayTrace {
      const taken = { ...trace, pauses: takePauses() };
      trace = empty();
      return taken;
    },
    store(store: SourceStore): SourceStore {
      return {
        ...store,
        async readFirst(asks) {
          const fromMs = nowMs();
          const answers = await store.readFirst(asks);
          const events = answers.flat().flatMap(({ event }) => event ?? []);
          noteRead(fromMs, events);
          return answers;
        },
        async readHead(...args) {
          const fromMs = nowMs();
          const rows = await store.readHead(...args);
          for (const { id } of rows) if (!headsMs.has(id)) headsMs.set(id, fromMs);
          return rows;
        },
        async fetch(rows) {
          const fromMs = Math.min(nowMs(), ...rows.map(({ id }) => headsMs.get(id) ?? Number.POSITIVE_INFINITY));
          const events = await store.fetch(rows);
          noteRead(fromMs, events);
          for (const { id } of rows) headsMs.delete(id);
          return events;
        },
        async delete(parts) {
          const fromMs = nowMs();
          const deleted = await store.delete(parts);
          trace.deletes.push({ fromMs, toMs: nowMs(), buckets: parts.map(({ bucket }) => bucket) });
          return deleted;
        },
      };
    },
    kafka(kafka: TransactionalKafkaPort): TransactionalKafkaPort {
      return {
        ...kafka,
        publisher(options) {
          const publisher = kafka.publisher(options);
          return {
            close: () => publisher.close(),
            publish: (messages) => send(messages, () => publisher.publish(messages)),
          };
        },
        transactionalPublisher(options) {
          const publisher = kafka.transactionalPublisher(options);
          return {
            fence: () => publisher.fence(),
            close: () => publisher.close(),
            transaction: (messages) => send(messages, () => publisher.transaction(messages)),
          };
        },
      };
    },
  };
}

function empty(): Omit<RelayTrace, 'pauses'> {
  return { nudgedMs: [], reads: [], sends: [], deletes: [], requests: [] };
}

import { headerNames, headersOf } from '../../events/envelope.ts';
import type { OutgoingMessage } from '../../kafka/port.ts';
import type { Routed } from '../batch/pack.ts';
import type { StoredEvent } from '../sources/store.ts';

/** Headers that all events of a type have. */
interface Template extends Pick<StoredEvent, 'eventType' | 'schemaVersion' | 'aggregateType'> {
  headers: Readonly<Record<string, Buffer>>;
}

/** A source has a few types. Comparing with each is faster than a key that is put together for each event. */
const mostTemplates = 32;

/**
 * Makes Kafka messages of a source's stored events: the key is the aggregate's id, the value the payload's bytes as they
 * are stored, the headers those of `headersOf`. Most of an event's headers are the same for all of its type: those are
 * made and encoded once.
 */
export function createMessages(source: string): (routed: Routed, incarnation: string) => OutgoingMessage {
  let madeFor = '';
  let templates: Template[] = [];

  const templateOf = (event: StoredEvent, incarnation: string): Template['headers'] => {
    if (madeFor !== incarnation) {
      madeFor = incarnation;
      templates = [];
    }
    const { eventType, schemaVersion, aggregateType } = event;
    for (const one of templates) {
      if (one.eventType === eventType && one.schemaVersion === schemaVersion && one.aggregateType === aggregateType) {
        return one.headers;
      }
    }
    const headers = encoded(headersOf(envelope(event, source, incarnation)));
    if (templates.length === mostTemplates) templates = [];
    templates.push({ eventType, schemaVersion, aggregateType, headers });
    return headers;
  };

  return ({ event, topic, partition }, incarnation) => {
    const headers: Record<string, string | Buffer> = {
      ...templateOf(event, incarnation),
      [headerNames.id]: event.eventId,
      [headerNames.subject]: event.aggregateId,
      [headerNames.time]: event.createdAt.toISOString(),
      [headerNames.version]: event.version,
    };
    if (event.traceparent !== null) headers[headerNames.traceparent] = event.traceparent;
    return { topic, partition, key: Buffer.from(event.aggregateId, 'utf8'), value: event.payload, headers };
  };
}

function envelope(event: StoredEvent, source: string, incarnation: string): Parameters<typeof headersOf>[0] {
  return {
    eventId: event.eventId,
    source,
    type: event.eventType,
    schemaVersion: event.schemaVersion,
    aggregateType: event.aggregateType,
    aggregateId: event.aggregateId,
    version: BigInt(event.version),
    incarnation,
    occurredAt: event.createdAt,
    traceparent: null,
  };
}

function encoded(headers: Readonly<Record<string, string>>): Readonly<Record<string, Buffer>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Buffer.from(value, 'utf8')]));
}

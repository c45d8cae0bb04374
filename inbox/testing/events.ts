import { Type } from '@sinclair/typebox';
import { createCatalogue } from '../../events/catalogue.ts';
import { defineEvent } from '../../events/definition.ts';
import { type EventEnvelope, headersOf } from '../../events/envelope.ts';
import type { IncomingBatch, IncomingMessage } from '../../kafka/port.ts';
import type { Arrival } from '../plan.ts';

/** A catalogue of the tests: two types on one stream, and one that nobody handles. */
export const testCatalogue = createCatalogue(
  ['Counted', 'Uncounted', 'Ignored'].map((type) =>
    defineEvent({
      type,
      schemaVersion: 1,
      source: 'like',
      aggregateType: 'article',
      payload: Type.Object({ count: Type.Integer({ minimum: 0 }) }),
    }),
  ),
);

export const firstIncarnation = 'aaaaaaaa-0000-4000-8000-000000000001';

/** The same id for the same stream and version, in the order of time as UUIDv7 are. */
export function eventIdOf(aggregateId: string, version: number, line = 0): string {
  const time = (1_700_000_000_000 + version).toString(16).padStart(12, '0');
  const rest = `${line.toString(16).padStart(4, '0')}${BigInt(aggregateId).toString(16).padStart(8, '0')}`;
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${rest}`;
}

export function testEvent(
  aggregateId: string,
  version: number,
  changes: Partial<EventEnvelope> = {},
): EventEnvelope<{ count: number }> {
  return {
    eventId: eventIdOf(aggregateId, version),
    source: 'like',
    type: 'Counted',
    schemaVersion: 1,
    aggregateType: 'article',
    aggregateId,
    version: BigInt(version),
    incarnation: firstIncarnation,
    occurredAt: new Date(1_700_000_000_000 + version * 1000),
    traceparent: null,
    payload: { count: version },
    ...changes,
  } as EventEnvelope<{ count: number }>;
}

export interface Place {
  topic: string;
  partition: number;
  offset: bigint;
}

const somewhere: Place = { topic: 'test.like', partition: 0, offset: 0n };

export function messageOf(event: EventEnvelope, place: Place = somewhere): IncomingMessage {
  const headers = Object.entries(headersOf(event)).map(([name, value]) => [name, Buffer.from(value)]);
  return {
    ...place,
    timestampMs: event.occurredAt.getTime(),
    key: Buffer.from(event.aggregateId),
    value: Buffer.from(JSON.stringify(event.payload)),
    headers: Object.fromEntries(headers),
  };
}

export function arrivalOf(event: EventEnvelope, place: Place = somewhere): Arrival {
  return { event, message: messageOf(event, place) };
}

/** A batch of one partition with consecutive offsets. */
export function batchOf(events: readonly (EventEnvelope | IncomingMessage)[], place: Place = somewhere): IncomingBatch {
  const messages = events.map((event, index) => {
    const at = { ...place, offset: place.offset + BigInt(index) };
    return 'headers' in event ? { ...event, ...at } : messageOf(event, at);
  });
  const { topic, partition } = place;
  return { topic, partition, messages, highWatermark: place.offset + BigInt(messages.length) };
}

/** A message that is no event: its value is not JSON. */
export function brokenMessage(aggregateId: string): IncomingMessage {
  return { ...messageOf(testEvent(aggregateId, 1)), value: Buffer.from('{"count": ') };
}

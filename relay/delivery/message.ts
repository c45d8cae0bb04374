import { headersOf } from '../../events/envelope.ts';
import type { OutgoingMessage } from '../../kafka/port.ts';
import type { Routed } from '../batch/pack.ts';

/** A stored event as a Kafka message: the key is the aggregate's id, the value the payload's bytes as they are stored. */
export function messageOf(routed: Routed, source: string, incarnation: string): OutgoingMessage {
  const { event, topic, partition } = routed;
  return {
    topic,
    partition,
    key: Buffer.from(event.aggregateId, 'utf8'),
    value: event.payload,
    headers: headersOf({
      eventId: event.eventId,
      source,
      type: event.eventType,
      schemaVersion: event.schemaVersion,
      aggregateType: event.aggregateType,
      aggregateId: event.aggregateId,
      version: BigInt(event.version),
      incarnation,
      occurredAt: event.createdAt,
      traceparent: event.traceparent,
    }),
  };
}

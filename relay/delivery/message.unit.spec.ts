import { describe, expect, it } from '@jest/globals';
import { envelopeOf, headersOf } from '../../events/envelope.ts';
import type { OutgoingMessage } from '../../kafka/port.ts';
import type { Routed } from '../batch/pack.ts';
import type { StoredEvent } from '../sources/store.ts';
import { createMessages } from './message.ts';

const stored = (more: Partial<StoredEvent>): Routed => ({
  row: { id: '1', day: '2026-01-01', keyHash: '1' },
  topic: 't',
  partition: 3,
  event: {
    id: '1',
    eventId: '0190f2b0-0000-7000-8000-000000000001',
    aggregateType: 'article',
    aggregateId: '9223372036854775807',
    version: '18446744073709551615',
    eventType: 'ArticleLiked',
    schemaVersion: 1,
    payload: Buffer.from('{"a":"ä"}'),
    traceparent: null,
    createdAt: new Date('2026-01-02T03:04:05.678Z'),
    ...more,
  },
});
const one = '0190f2b0-0000-7000-8000-00000000000a';
const other = '0190f2b0-0000-7000-8000-00000000000b';

function textOf(headers: OutgoingMessage['headers']): Record<string, string> {
  return Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name, value.toString()]));
}

describe('messages of stored events', () => {
  it('have the headers of the envelope, whatever came before of the same type', () => {
    const messageOf = createMessages('like');
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    for (const [routed, incarnation] of [
      [stored({ traceparent }), one],
      [stored({ eventId: '0190f2b0-0000-7000-8000-000000000002', aggregateId: '7', version: '2' }), one],
      [stored({ createdAt: new Date(0), schemaVersion: 2 }), one],
      [stored({ eventType: 'ArticleUnliked', aggregateType: 'board' }), one],
      [stored({}), other],
    ] as const) {
      const { event } = routed;
      const message = messageOf(routed, incarnation);
      expect(textOf(message.headers)).toEqual(
        headersOf({
          ...event,
          type: event.eventType,
          source: 'like',
          version: BigInt(event.version),
          incarnation,
          occurredAt: event.createdAt,
        }),
      );
      expect(message).toMatchObject({ topic: 't', partition: 3, key: Buffer.from(event.aggregateId) });
      expect(message.value).toBe(event.payload);
    }
  });

  it('can be read back', () => {
    const { key, value, headers } = createMessages('like')(stored({ version: '3' }), one);
    const bytes = Object.fromEntries(Object.entries(headers!).map(([name, header]) => [name, Buffer.from(header)]));
    expect(envelopeOf({ key, value, headers: bytes })).toMatchObject({
      source: 'like',
      version: 3n,
      payload: { a: 'ä' },
    });
  });
});

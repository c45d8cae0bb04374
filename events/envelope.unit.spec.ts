import { describe, expect, it } from '@jest/globals';
import { type EventEnvelope, envelopeOf, headersOf } from './envelope.ts';

const event: EventEnvelope = {
  eventId: '01938f5e-7c3a-7b1e-9d3f-1a2b3c4d5e6f',
  source: 'like',
  type: 'ArticleLiked',
  schemaVersion: 1,
  aggregateType: 'article',
  aggregateId: '9007199254740993',
  version: 9007199254740995n,
  incarnation: '01938f5e-0000-7000-8000-000000000000',
  occurredAt: new Date('2026-11-21T12:00:00.123Z'),
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  payload: { articleLikeCount: 3 },
};

const messageOf = (
  change: Record<string, string | undefined> = {},
  value: string | null = JSON.stringify(event.payload),
) => {
  const headers: Record<string, Buffer> = {};
  for (const [name, text] of Object.entries({ ...headersOf(event), ...change })) {
    if (text !== undefined) headers[name] = Buffer.from(text);
  }
  return { key: Buffer.from(event.aggregateId), value: value === null ? null : Buffer.from(value), headers };
};

describe('an event on its way', () => {
  it('is read back as it was written', () => {
    expect(envelopeOf(messageOf())).toEqual(event);
    expect(envelopeOf(messageOf({ traceparent: undefined })).traceparent).toBeNull();
  });

  it('carries the attributes of CloudEvents in binary mode', () => {
    expect(headersOf(event)).toMatchObject({
      ce_specversion: '1.0',
      ce_id: event.eventId,
      ce_source: '/like',
      ce_type: 'ArticleLiked',
      ce_subject: event.aggregateId,
      ce_time: '2026-11-21T12:00:00.123Z',
      'content-type': 'application/json',
    });
  });

  it.each([
    ['header ce_id is missing', { ce_id: undefined }],
    ['header ce_id has the value "7"', { ce_id: '7' }],
    ['header ce_aggregateversion has the value "0"', { ce_aggregateversion: '0' }],
    ['header ce_aggregateversion has the value "1e3"', { ce_aggregateversion: '1e3' }],
    ['header ce_source has the value "like"', { ce_source: 'like' }],
    ['header ce_time is not a time: soon', { ce_time: 'soon' }],
    ['header ce_subject does not equal the key', { ce_subject: '8' }],
  ])('is refused with its fault: %s', (fault, change) => {
    expect(() => envelopeOf(messageOf(change))).toThrow(fault);
  });

  it('is refused without a key, without a value, and with a value that is not JSON', () => {
    expect(() => envelopeOf({ ...messageOf(), key: null })).toThrow('the key (the aggregate id) is missing');
    expect(() => envelopeOf(messageOf({}, null))).toThrow('the value is missing');
    expect(() => envelopeOf(messageOf({}, '{'))).toThrow('the value is not JSON');
  });
});

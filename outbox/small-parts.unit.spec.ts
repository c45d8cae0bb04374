import { describe, expect, it } from '@jest/globals';
import { eventIdText, newEventId } from './event-id.ts';
import { decodeToken, encodeToken, mergeTokens } from './token.ts';
import { traceparentOf } from './traceparent.ts';

describe('event ids', () => {
  it('are UUIDv7: they sort by time and never repeat', () => {
    const early = newEventId(1_700_000_000_000);
    const late = newEventId(1_700_000_000_001);
    expect(early.compare(late)).toBe(-1);
    expect(eventIdText(early)).toMatch(/^018bcfe5-6800-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(new Set(Array.from({ length: 1000 }, () => eventIdText(newEventId(1)))).size).toBe(1000);
  });
});

describe('consistency tokens', () => {
  it('come back as they were, with the newest version of each line', () => {
    const token = encodeToken([
      ['like', 'article', '1', '9'],
      ['like', 'article', '1', '10'],
      ['comment', 'article', '1', '2'],
    ]);
    expect(token).toMatch(/^[A-Za-z0-9_-]+$/);
    expect(decodeToken(token)).toEqual([
      ['like', 'article', '1', '10'],
      ['comment', 'article', '1', '2'],
    ]);
    expect(decodeToken(mergeTokens(token, encodeToken([['comment', 'article', '1', '1']])))).toHaveLength(2);
  });

  it('are refused where they are anything else', () => {
    const of = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    for (const token of [
      '',
      'x',
      of({}),
      of([['a', 'b', 'c']]),
      of([['a', 'b', 'c', 1]]),
      of([['a', 'b', 'c', '-1']]),
      of(['abcd']),
    ]) {
      expect(() => decodeToken(token)).toThrow(expect.objectContaining({ code: 'TOKEN_INVALID' }));
    }
  });
});

describe('traceparentOf', () => {
  it('takes the gateway’s, else makes one from the request, else has none', () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    expect(traceparentOf({ meta: { traceparent } })).toBe(traceparent);
    const requestID = '0f8fad5b-d9cb-469f-a165-70867728950e';
    const id = '7c9e6679-7425-40de-944b-e07fc1f90ae7';
    expect(traceparentOf({ id, requestID, meta: { traceparent: 'nonsense' } })).toBe(
      '00-0f8fad5bd9cb469fa16570867728950e-7c9e6679742540de-01',
    );
    expect(traceparentOf({ id, requestID: 'req-1', meta: {} })).toBeNull();
    expect(traceparentOf({ meta: { traceparent: `00-${'0'.repeat(32)}-00f067aa0ba902b7-01` } })).toBeNull();
    expect(traceparentOf(undefined)).toBeNull();
  });
});

import { describe, expect, it } from '@jest/globals';
import { fingerprintOf } from './fingerprint.ts';
import { idempotencyKeyOf, isKey, maxKeyLength } from './key.ts';

describe('the value of Idempotency-Key', () => {
  it('is a structured string, or the same without quotes', () => {
    expect(idempotencyKeyOf('"8e03978e-40d5-43dd-bc93-6894a57f9324"')).toBe('8e03978e-40d5-43dd-bc93-6894a57f9324');
    expect(idempotencyKeyOf(' 8e03978e-40d5-43dd-bc93-6894a57f9324 ')).toBe('8e03978e-40d5-43dd-bc93-6894a57f9324');
    expect(idempotencyKeyOf('"a \\"b\\" \\\\ c"')).toBe('a "b" \\ c');
    expect(idempotencyKeyOf('order:1/2=x+y')).toBe('order:1/2=x+y');
    expect(idempotencyKeyOf('x'.repeat(maxKeyLength))).toHaveLength(maxKeyLength);
    expect(isKey(idempotencyKeyOf('"a b"'))).toBe(true);
  });

  it.each([
    ['nothing', ''],
    ['an empty string', '""'],
    ['a blank without quotes', 'a b'],
    ['two of them', '"a", "b"'],
    ['two without quotes', 'a, b'],
    ['an open quote', '"a'],
    ['a quote within', '"a"b"'],
    ['an escape that is none', '"a\\n"'],
    ['a parameter', '"a";b=1'],
    ['other letters', '"ü"'],
    ['control characters', '"a\tb"'],
    ['too many characters', 'x'.repeat(maxKeyLength + 1)],
    ['too many within quotes', `"${'x'.repeat(maxKeyLength + 1)}"`],
  ])('is refused where it is %s, saying what is allowed', (_, header) => {
    expect(() => idempotencyKeyOf(header)).toThrow(
      expect.objectContaining({
        code: 'IDEMPOTENCY_KEY_INVALID',
        retryable: false,
        message: expect.stringContaining('allowed: one string of 1 to 255 printable ASCII characters'),
      }),
    );
  });
});

describe('the fingerprint of a request', () => {
  const same = (a: unknown, b: unknown) => fingerprintOf(a).equals(fingerprintOf(b));

  it('does not depend on the order of fields, at any depth', () => {
    expect(same({ a: 1, b: { c: [{ d: 1, e: 2 }], f: null } }, { b: { f: null, c: [{ e: 2, d: 1 }] }, a: 1 })).toBe(
      true,
    );
    expect(fingerprintOf(undefined)).toHaveLength(32);
  });

  it('tells apart values, their types and the order of lists', () => {
    const different = [{ a: 1 }, { a: '1' }, { a: [1, 2] }, { a: [2, 1] }, { a: null }, {}, { b: 1 }, null, undefined];
    const prints = new Set(different.map((value) => fingerprintOf(value).toString('hex')));
    expect(prints.size).toBe(different.length);
  });
});

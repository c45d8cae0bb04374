import { OutboxError } from '../errors.ts';

/** Longest key, in characters. */
export const maxKeyLength = 255;

/** A string of RFC 8941: printable ASCII in double quotes, `"` and `\` behind a backslash. */
const quoted = /^"(?:[ !#-[\]-~]|\\["\\])*"$/;
/** Also taken: the key as it is, without quotes. */
const bare = /^[A-Za-z0-9!#$%&'*+./:=^_`|~-]+$/;

/**
 * The key in the value of an `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header: a structured string). Quotes
 * are no part of it: `"abc"` and `abc` are one key. Throws `IDEMPOTENCY_KEY_INVALID`.
 */
export function idempotencyKeyOf(header: string): string {
  const value = header.trim();
  const key = quoted.test(value) ? value.slice(1, -1).replace(/\\(["\\])/g, '$1') : bare.test(value) ? value : null;
  if (key === null || key === '' || key.length > maxKeyLength) throw invalidKey(value);
  return key;
}

/** Whether a key that did not come in a header can be stored: 1 to 255 printable ASCII characters. */
export function isKey(key: unknown): key is string {
  return typeof key === 'string' && /^[ -~]{1,255}$/.test(key);
}

export function invalidKey(value: unknown): OutboxError {
  const text = String(value);
  const shown = JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
  return new OutboxError(
    'IDEMPOTENCY_KEY_INVALID',
    `Idempotency-Key is ${shown} (${text.length} characters); allowed: one string of 1 to ${maxKeyLength} printable ASCII characters in double quotes, such as "8e03978e-40d5-43dd-bc93-6894a57f9324", or the same without quotes and blanks.`,
  );
}

import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

const known = new WeakMap<object, Buffer>();

/** The bytes of an answer that is given again and again: made once for each object, which nobody may change. */
export function sharedBytes(body: object): Buffer {
  const bytes = known.get(body) ?? encode(body);
  known.set(body, bytes);
  return bytes;
}

/** Sends one JSON answer (or its bytes), or one without a body where `body` is undefined. Does nothing where something was sent already. */
export function answer(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: OutgoingHttpHeaders = {},
): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = body === undefined ? null : Buffer.isBuffer(body) ? body : encode(body);
  response.writeHead(status, {
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(bytes === null
      ? {}
      : { 'content-type': 'application/json; charset=utf-8', 'content-length': String(bytes.length) }),
    ...headers,
  });
  response.end(bytes);
}

function encode(body: unknown): Buffer {
  return Buffer.from(JSON.stringify(body));
}

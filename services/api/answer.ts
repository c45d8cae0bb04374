import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** Sends one JSON answer, or one without a body where `body` is undefined. Does nothing where something was sent already. */
export function answer(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: OutgoingHttpHeaders = {},
): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = body === undefined ? null : Buffer.from(JSON.stringify(body));
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

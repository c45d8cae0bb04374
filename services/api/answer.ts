import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** Sends one JSON answer, or one without a body where `body` is undefined. Does nothing where something was sent already. */
export function answer(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: OutgoingHttpHeaders = {},
): void {
  answerText(response, status, body === undefined ? null : JSON.stringify(body), headers);
}

/** As `answer`, with the JSON already made; null: no body. Text, not bytes: Node sends it together with the head. */
export function answerText(
  response: ServerResponse,
  status: number,
  text: string | null,
  headers: OutgoingHttpHeaders = {},
): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, {
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(text === null
      ? {}
      : { 'content-type': 'application/json; charset=utf-8', 'content-length': String(Buffer.byteLength(text)) }),
    ...headers,
  });
  response.end(text);
}

import type { OutgoingHttpHeaders } from 'node:http';

/** What a client is told when a request fails: always in this shape, whatever went wrong. */
export interface Failure {
  status: number;
  headers: OutgoingHttpHeaders;
  body: { error: { code: string; message: string; details: unknown } };
  /** Whether the error itself belongs into the log: the client gets nothing of it but the request's id. */
  unexpected: boolean;
}

interface Known {
  status: number;
  code: string;
  message: string;
}

/** Errors of the body parser and of the gateway itself, in our own words: theirs may repeat what was sent. */
const knownByType: Readonly<Record<string, Known>> = {
  'entity.parse.failed': { status: 400, code: 'INVALID_JSON', message: 'The body is not valid JSON.' },
  'entity.too.large': { status: 413, code: 'PAYLOAD_TOO_LARGE', message: 'The body is too large.' },
  'encoding.unsupported': {
    status: 415,
    code: 'UNSUPPORTED_MEDIA_TYPE',
    message: 'The body is compressed; allowed: JSON in UTF-8 as it is.',
  },
  'charset.unsupported': {
    status: 415,
    code: 'UNSUPPORTED_MEDIA_TYPE',
    message: 'The body has another character set; allowed: JSON in UTF-8.',
  },
  'request.aborted': { status: 400, code: 'INVALID_BODY', message: 'The body ended too early.' },
  'request.size.invalid': { status: 400, code: 'INVALID_BODY', message: 'The body is not as long as its header says.' },
  UNABLE_DECODE_PARAM: {
    status: 400,
    code: 'INVALID_PATH',
    message: 'The path is not well-formed (percent encoding).',
  },
  NOT_FOUND: { status: 404, code: 'NOT_FOUND', message: 'There is nothing at this address.' },
  REQUEST_TIMEOUT: {
    status: 503,
    code: 'REQUEST_TIMEOUT',
    message: 'The answer took too long. Whether a change was made is not known.',
  },
};

const unavailable = 'The service can not answer at the moment: try again.';
/** Errors of Moleculer and of what lies behind the services that a later try can get past. */
const unavailableTypes = new Set([
  'SERVICE_NOT_FOUND',
  'SERVICE_NOT_AVAILABLE',
  'REQUEST_REJECTED',
  'REQUEST_SKIPPED',
  'QUEUE_FULL',
  'BAD_GATEWAY',
]);
const connectionCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'PROTOCOL_CONNECTION_LOST',
  'ER_SERVER_SHUTDOWN',
  'ER_CON_COUNT_ERROR',
  'ER_TOO_MANY_USER_CONNECTIONS',
]);
const retryAfterS = 1;
const codePattern = /^[A-Z][A-Z0-9_]{2,60}$/;

interface ErrorLike {
  name?: unknown;
  message?: unknown;
  code?: unknown;
  type?: unknown;
  data?: unknown;
  retryable?: unknown;
  cause?: unknown;
  parent?: unknown;
  original?: unknown;
}

/**
 * How an error is told to a client. Only errors of our own with a status below 500, and our own 503s, speak for themselves;
 * of all others the client gets a code and the request's id, never a driver's message, SQL or a stack.
 */
export function failureOf(thrown: unknown, requestId: string): Failure {
  const error: ErrorLike = typeof thrown === 'object' && thrown !== null ? thrown : { message: thrown };
  const type = typeof error.type === 'string' ? error.type : undefined;
  const known = type === undefined ? undefined : knownByType[type];
  if (known !== undefined) return failure(known);
  if (typeof error.code === 'number' && type !== undefined && codePattern.test(type)) {
    if (unavailableTypes.has(type)) return failure({ status: 503, code: type, message: unavailable });
    const speaksForItself = (error.code >= 400 && error.code < 500) || error.code === 503;
    if (speaksForItself) {
      return failure({ status: error.code, code: type, message: String(error.message) }, error.data);
    }
  }
  if (error.code === 503 || isUnreachable(error) || error.retryable === true) {
    return { ...failure({ status: 503, code: codeOf(error), message: unavailable }), unexpected: true };
  }
  const message = `Something went wrong here. The log has more under the request id ${requestId}.`;
  return { ...failure({ status: 500, code: 'INTERNAL', message }, { requestId }), unexpected: true };
}

function failure({ status, code, message }: Known, details: unknown = null): Failure {
  return {
    status,
    headers: {
      ...(status === 503 || code === 'IDEMPOTENCY_KEY_IN_USE' ? { 'retry-after': String(retryAfterS) } : {}),
      ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    },
    body: { error: { code, message, details: details ?? null } },
    unexpected: false,
  };
}

/** Our own errors have codes in capitals; those of the operating system and of drivers stay inside. */
function codeOf({ code, type }: ErrorLike): string {
  for (const candidate of [type, code]) {
    if (typeof candidate !== 'string' || !codePattern.test(candidate)) continue;
    if (!/^(E[A-Z]+|ER_.*|PROTOCOL_.*)$/.test(candidate)) return candidate;
  }
  return 'TEMPORARILY_UNAVAILABLE';
}

/** Whether a server behind a service (MySQL, Redis) could not be reached; drivers wrap what happened several times. */
function isUnreachable(error: unknown, depth = 0): boolean {
  if (typeof error !== 'object' || error === null || depth > 5) return false;
  const { code, name, cause, parent, original } = error as ErrorLike;
  if (typeof code === 'string' && connectionCodes.has(code)) return true;
  if (typeof name === 'string' && name.startsWith('SequelizeConnection')) return true;
  return [cause, parent, original].some((inner) => isUnreachable(inner, depth + 1));
}

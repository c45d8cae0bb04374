import type { IncomingMessage } from 'node:http';
import moleculer from 'moleculer';
import { forCallers } from '../../outbox/for-callers.ts';
import { idempotencyKeyOf } from '../../outbox/idempotency/key.ts';
import type { Problem } from '../../validation/problems.ts';
import { validationError } from '../../validation/validator.ts';

const { Errors } = moleculer;

/** Longest body that is read. The longest legal article fits, even with every character escaped. */
export const maxBodyBytes = 1_048_576;

/** Where the parameters of a request come from. */
export interface RequestParts {
  body: unknown;
  query: Readonly<Record<string, unknown>>;
  /** From the path. */
  params: Readonly<Record<string, string>>;
}

/**
 * The action's parameters: fields of body, query and path together, the named query fields as numbers or flags. Throws
 * `VALIDATION_ERROR` for a body that is no object and for a field that is given twice.
 */
export function actionParamsOf(
  { body, query, params }: RequestParts,
  { numbers = [], flags = [] }: { numbers?: readonly string[]; flags?: readonly string[] } = {},
): object {
  if (body !== undefined && (typeof body !== 'object' || body === null || Array.isArray(body))) {
    throw validationError([{ field: '', problem: 'is no JSON object', allowed: 'an object with the fields by name' }]);
  }
  const typed = Object.fromEntries(
    Object.entries(query).map(([name, value]) => {
      if (numbers.includes(name)) return [name, numberOf(value)];
      return [name, flags.includes(name) ? flagOf(value) : value];
    }),
  );
  const problems: Problem[] = [];
  const merged: Record<string, unknown> = { ...(body as object | undefined) };
  for (const part of [typed, params]) {
    for (const [name, value] of Object.entries(part)) {
      if (Object.hasOwn(merged, name)) {
        problems.push({ field: name, problem: 'is given twice', allowed: 'once, in the path, the query or the body' });
      }
      merged[name] = value;
    }
  }
  if (problems.length > 0) throw validationError(problems);
  return merged;
}

/** `"12"` → 12; what is no number stays as it is, so that the schema can name it. */
function numberOf(value: unknown): unknown {
  return typeof value === 'string' && /^-?[0-9]{1,15}(\.[0-9]{1,15})?$/.test(value) ? Number(value) : value;
}

function flagOf(value: unknown): unknown {
  if (value === '1' || value === 'true') return true;
  return value === '0' || value === 'false' ? false : value;
}

/** `after` and `waitMs` of a read: the query's own, else those of the headers `Hotboard-Token` and `Prefer: wait=<seconds>`. */
export function waitParamsOf({ headers }: IncomingMessage): { after?: string; waitMs?: number } {
  const token = headers['hotboard-token'];
  const wait = /(?:^|[,;\s])wait=([0-9]{1,5})(?:$|[,;\s])/.exec(String(headers.prefer ?? ''))?.[1];
  return {
    ...(token === undefined ? {} : { after: String(token) }),
    ...(wait === undefined ? {} : { waitMs: Number(wait) * 1000 }),
  };
}

/** Throws `UNSUPPORTED_MEDIA_TYPE` where there is a body that nobody read, because it does not call itself JSON. */
export function mustBeJson(request: IncomingMessage, body: unknown): void {
  const length = Number(request.headers['content-length'] ?? 0);
  const hasBody = length > 0 || request.headers['transfer-encoding'] !== undefined;
  if (body !== undefined || !hasBody) return;
  throw new Errors.MoleculerClientError(
    'The body must be JSON: send the header "Content-Type: application/json".',
    415,
    'UNSUPPORTED_MEDIA_TYPE',
  );
}

/** A GET whose address says all of what is asked for: no body, no token. */
export function isPlainRead({ method, headers }: IncomingMessage): boolean {
  const bare = headers['content-length'] === undefined && headers['transfer-encoding'] === undefined;
  return method === 'GET' && bare && headers['hotboard-token'] === undefined;
}

/** Whether the body is longer than what is read, as far as its header says so. */
export function isTooLarge(request: IncomingMessage): boolean {
  return Number(request.headers['content-length'] ?? 0) > maxBodyBytes;
}

/** The request's id: the client's own where it is short and harmless, else a new one. */
export function requestIdOf(header: unknown, create: () => string): string {
  return typeof header === 'string' && /^[A-Za-z0-9._:-]{1,100}$/.test(header) ? header : create();
}

/** The key in an `Idempotency-Key` header. Throws `IDEMPOTENCY_KEY_INVALID` (400). */
export function keyOf(header: string | string[]): string {
  try {
    return idempotencyKeyOf(String(header));
  } catch (error) {
    throw forCallers(error);
  }
}

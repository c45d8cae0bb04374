import { type PoisonReason, poisonReasons } from '../read.ts';
import { DeadLetterError } from './errors.ts';
import type { LetterState, Readable } from './letter.ts';

/** All given ones must hold. */
export interface LetterFilter {
  state?: LetterState;
  reason?: PoisonReason;
  topic?: string;
  partition?: number;
  eventType?: string;
  source?: string;
  aggregateType?: string;
  aggregateId?: string;
}

export interface LetterAggregate {
  source: string;
  aggregateType: string;
  aggregateId: string;
}

/** A page of letters: those with an id above `after`, `limit` at most (100, default 50). */
export interface ListRequest {
  filter?: LetterFilter;
  after?: string;
  limit?: number;
}

/** Exactly one of `id`, `aggregate` and `filter`; an empty filter means all that wait. */
export interface LetterSelection {
  id?: string;
  aggregate?: LetterAggregate;
  filter?: Omit<LetterFilter, 'state'>;
  after?: string;
  limit?: number;
}

/** Only a dry run, unless `dryRun` is false; then `by` (who does it) is needed. */
export interface ReplayRequest extends LetterSelection {
  dryRun?: boolean;
  by?: string;
  why?: string;
}

export interface DiscardRequest extends LetterSelection {
  by: string;
  why: string;
}

/**
 * What is given is changed: `key` and `value` as text or `{ base64 }` (null: none), `headers` one by one (null removes one).
 * `revision` is the one that was shown.
 */
export interface EditRequest {
  id: string;
  revision: number;
  by: string;
  why: string;
  key?: Readable | null;
  value?: Readable | null;
  headers?: Record<string, Readable | null>;
}

/** A selection in the form that the table takes. */
export interface Page {
  id: string | null;
  filter: LetterFilter;
  after: string;
  limit: number;
}

const states: readonly LetterState[] = ['waiting', 'replayed', 'discarded'];
const longestPage = 100;
const usualPage = 50;

export function checkList(given: unknown): Page {
  const { filter, after, limit } = fields(given, 'the request', ['filter', 'after', 'limit']);
  return { id: null, filter: filterOf(filter ?? {}, true), ...pageOf(after, limit) };
}

export function checkId(given: unknown): string {
  return idOf('id', fields(given, 'the request', ['id']).id);
}

export function checkReplay(given: unknown): Page & { dryRun: boolean; by: string; why: string } {
  const request = fields(given, 'the request', [...selectionFields, 'dryRun', 'by', 'why']);
  const dryRun = request.dryRun ?? true;
  if (typeof dryRun !== 'boolean') throw bad('dryRun', dryRun, 'true or false');
  const by = dryRun && request.by === undefined ? '' : text('by', request.by, 190);
  const why = request.why === undefined ? '' : text('why', request.why, 10_000);
  return { ...selectionOf(request), dryRun, by, why };
}

export function checkDiscard(given: unknown): Page & { by: string; why: string } {
  const request = fields(given, 'the request', [...selectionFields, 'by', 'why']);
  return { ...selectionOf(request), by: text('by', request.by, 190), why: text('why', request.why, 10_000) };
}

export interface Edit {
  id: string;
  revision: number;
  by: string;
  why: string;
  /** Undefined: stays as it is. */
  key: Buffer | null | undefined;
  value: Buffer | null | undefined;
  headers: Readonly<Record<string, Buffer | null>>;
}

export function checkEdit(given: unknown): Edit {
  const request = fields(given, 'the request', ['id', 'revision', 'by', 'why', 'key', 'value', 'headers']);
  const { revision, key, value, headers = {} } = request;
  if (!Number.isInteger(revision) || Number(revision) < 0) throw bad('revision', revision, 'the one that was shown');
  if (key === undefined && value === undefined && request.headers === undefined) {
    throw new DeadLetterError(
      'DEAD_LETTER_BAD_REQUEST',
      'Nothing is changed; allowed: key, value, headers, or several.',
    );
  }
  return {
    id: idOf('id', request.id),
    revision: Number(revision),
    by: text('by', request.by, 190),
    why: text('why', request.why, 10_000),
    key: key === undefined ? undefined : bytesOf('key', key),
    value: value === undefined ? undefined : bytesOf('value', value),
    headers: Object.fromEntries(
      Object.entries(fields(headers, 'headers', null)).map(([name, each]) => [name, bytesOf(`headers.${name}`, each)]),
    ),
  };
}

const selectionFields = ['id', 'aggregate', 'filter', 'after', 'limit'] as const;

function selectionOf({ id, aggregate, filter, after, limit }: Record<string, unknown>): Page {
  const given = Object.entries({ id, aggregate, filter }).filter(([, value]) => value !== undefined);
  if (given.length !== 1) {
    const found = given.length === 0 ? 'none' : given.map(([name]) => name).join(' and ');
    const message = `Of id, aggregate and filter exactly one is needed; ${found} is given.`;
    throw new DeadLetterError('DEAD_LETTER_BAD_REQUEST', message);
  }
  const page = pageOf(after, limit);
  if (id !== undefined) return { id: idOf('id', id), filter: {}, ...page };
  if (filter !== undefined) return { id: null, filter: { ...filterOf(filter, false), state: 'waiting' }, ...page };
  const names = ['source', 'aggregateType', 'aggregateId'] as const;
  const values = fields(aggregate, 'aggregate', names);
  const stream = Object.fromEntries(names.map((name) => [name, text(`aggregate.${name}`, values[name], 255)]));
  return { id: null, filter: { ...stream, state: 'waiting' }, ...page };
}

function filterOf(given: unknown, withState: boolean): LetterFilter {
  const texts = ['topic', 'eventType', 'source', 'aggregateType', 'aggregateId'] as const;
  const request = fields(given, 'filter', [...(withState ? ['state'] : []), 'reason', 'partition', ...texts]);
  const filter: Record<string, unknown> = {};
  for (const name of texts) if (request[name] !== undefined) filter[name] = text(`filter.${name}`, request[name], 255);
  if (request.state !== undefined) filter.state = oneOf('filter.state', request.state, states);
  if (request.reason !== undefined) filter.reason = oneOf('filter.reason', request.reason, poisonReasons);
  if (request.partition !== undefined) {
    if (!Number.isInteger(request.partition) || Number(request.partition) < 0) {
      throw bad('filter.partition', request.partition, 'a whole number from 0');
    }
    filter.partition = request.partition;
  }
  return filter;
}

function pageOf(after: unknown, limit: unknown = usualPage): { after: string; limit: number } {
  if (!Number.isInteger(limit) || Number(limit) < 1 || Number(limit) > longestPage) {
    throw bad('limit', limit, `a whole number from 1 to ${longestPage}`);
  }
  return { after: after === undefined || after === null ? '0' : idOf('after', after), limit: Number(limit) };
}

/** The fields of an object; `allowed` null: any. */
function fields(given: unknown, name: string, allowed: readonly string[] | null): Record<string, unknown> {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw bad(name, given, 'an object');
  for (const field of Object.keys(given)) {
    if (allowed === null || allowed.includes(field)) continue;
    const message = `${field} is no field of ${name}; allowed: ${allowed.join(', ')}.`;
    throw new DeadLetterError('DEAD_LETTER_BAD_REQUEST', message);
  }
  return given as Record<string, unknown>;
}

function idOf(name: string, given: unknown): string {
  if (typeof given === 'string' && /^(0|[1-9][0-9]{0,18})$/.test(given)) return given;
  throw bad(name, given, 'the id of a dead letter, a whole number as text');
}

function text(name: string, given: unknown, longest: number): string {
  if (typeof given === 'string' && given.trim() !== '' && given.length <= longest) return given;
  throw bad(name, given, `a text of 1 to ${longest} characters that is not blank`);
}

function oneOf<Value extends string>(name: string, given: unknown, allowed: readonly Value[]): Value {
  if (allowed.includes(given as Value)) return given as Value;
  throw bad(name, given, allowed.join(', '));
}

function bytesOf(name: string, given: unknown): Buffer | null {
  if (given === null) return null;
  if (typeof given === 'string') return Buffer.from(given, 'utf8');
  const base64 = (given as { base64?: unknown }).base64;
  if (typeof base64 === 'string') {
    const bytes = Buffer.from(base64, 'base64');
    if (bytes.toString('base64') === base64) return bytes;
  }
  throw bad(name, given, 'a text, { base64: "…" } or null');
}

function bad(name: string, given: unknown, allowed: string): DeadLetterError {
  const shown = (JSON.stringify(given) ?? 'missing').slice(0, 200);
  return new DeadLetterError('DEAD_LETTER_BAD_REQUEST', `${name} is ${shown}; allowed: ${allowed}.`);
}

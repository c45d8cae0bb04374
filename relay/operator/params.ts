import { OperatorError } from './errors.ts';

export const eventStates = ['pending', 'blocked', 'dead'] as const;
export type EventState = (typeof eventStates)[number];

export interface ListParams {
  source: string;
  state: EventState | null;
  key: string | null;
  type: string | null;
  page: number;
  pageSize: number;
}

export interface RetryParams {
  source: string;
  target: { id: string } | { key: string } | 'all';
}

const largestPage = 100_000;
const largestPageSize = 100;
const longestText = 255;
const longestReason = 500;

/** `{ source, state?, key?, type?, page?, pageSize? }` */
export function listParams(given: unknown): ListParams {
  const params = checked(given, ['source', 'state', 'key', 'type', 'page', 'pageSize']);
  const state = params.state ?? null;
  if (state !== null && !eventStates.includes(state as EventState)) throw wrong('state', state, eventStates.join(', '));
  return {
    source: text('source', params.source, longestText),
    state: state as EventState | null,
    key: params.key === undefined ? null : keyOf(params.key),
    type: params.type === undefined ? null : text('type', params.type, longestText),
    page: whole('page', params.page ?? 1, largestPage),
    pageSize: whole('pageSize', params.pageSize ?? 20, largestPageSize),
  };
}

/** `{ source, id }` */
export function showParams(given: unknown): { source: string; id: string } {
  const params = checked(given, ['source', 'id']);
  return { source: text('source', params.source, longestText), id: idOf(params.id) };
}

/** `{ source, id }`, `{ source, key }` or `{ source, all: true }` */
export function retryParams(given: unknown): RetryParams {
  const params = checked(given, ['source', 'id', 'key', 'all']);
  const source = text('source', params.source, longestText);
  const named = (['id', 'key', 'all'] as const).filter((name) => params[name] !== undefined);
  if (named.length !== 1)
    throw invalid(`retry has ${named.join(', ') || 'none'} of id, key, all; allowed: exactly one`);
  if (params.id !== undefined) return { source, target: { id: idOf(params.id) } };
  if (params.key !== undefined) return { source, target: { key: keyOf(params.key) } };
  if (params.all !== true) throw wrong('all', params.all, 'true');
  return { source, target: 'all' };
}

/** `{ source, id, reason }` */
export function dropParams(given: unknown): { source: string; id: string; reason: string } {
  const params = checked(given, ['source', 'id', 'reason']);
  const source = text('source', params.source, longestText);
  return { source, id: idOf(params.id), reason: text('reason', params.reason, longestReason) };
}

/** `{ source, id, payload, reason }` */
export function editParams(given: unknown): { source: string; id: string; payload: unknown; reason: string } {
  const params = checked(given, ['source', 'id', 'payload', 'reason']);
  const source = text('source', params.source, longestText);
  if (params.payload === undefined) throw wrong('payload', undefined, 'the whole new payload');
  const reason = text('reason', params.reason, longestReason);
  return { source, id: idOf(params.id), payload: params.payload, reason };
}

function checked(given: unknown, allowed: readonly string[]): Record<string, unknown> {
  const params = (given ?? {}) as Record<string, unknown>;
  const unknown = Object.keys(params).find((name) => !allowed.includes(name));
  if (unknown !== undefined) throw invalid(`the parameter ${unknown} is unknown; allowed: ${allowed.join(', ')}`);
  return params;
}

function text(name: string, value: unknown, longest: number): string {
  if (typeof value === 'string' && value.trim() !== '' && value.length <= longest) return value.trim();
  throw wrong(name, value, `text of 1 to ${longest} characters`);
}

/** An aggregate's id: it may begin or end with blanks. */
function keyOf(value: unknown): string {
  if (typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= longestText) return value;
  throw wrong('key', value, `text of 1 to ${longestText} bytes`);
}

function idOf(value: unknown): string {
  if (typeof value === 'string' && /^[1-9][0-9]{0,19}$/.test(value)) return value;
  throw wrong('id', value, 'the id of an event as text of digits, as outbox.list shows it');
}

function whole(name: string, value: unknown, most: number): number {
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most) return value as number;
  throw wrong(name, value, `a whole number from 1 to ${most}`);
}

function wrong(name: string, value: unknown, allowed: string): OperatorError {
  const shown = value === undefined ? 'missing' : (JSON.stringify(value)?.slice(0, 80) ?? String(value));
  return invalid(`the parameter ${name} is ${shown}; allowed: ${allowed}`);
}

function invalid(what: string): OperatorError {
  return new OperatorError('OUTBOX_PARAMS_INVALID', `${what[0]!.toUpperCase()}${what.slice(1)}.`);
}

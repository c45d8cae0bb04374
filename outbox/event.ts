import type { Catalogue } from '../events/catalogue.ts';
import type { EventDefinition } from '../events/definition.ts';
import { OutboxError } from './errors.ts';

/**
 * The largest event: payload and headers. A broker takes messages up to 1 MiB by default (`message.max.bytes`, 1,048,588 with
 * the record's own overhead); what is larger could never be sent, so it is refused in the transaction.
 */
export const defaultMaxEventBytes = 900 * 1024;

/** Headers and key of an event without what is counted below: names, ids, time, incarnation, version. */
const fixedHeaderBytes = 600;
/** The column's width. */
const maxAggregateIdBytes = 255;

/** Which outbox an event goes to, and what it may look like. */
export interface EventRules {
  source: string;
  catalogue: Catalogue;
  /** Default 900 KiB. */
  maxEventBytes?: number;
}

/** Throws `EVENT_UNKNOWN_TYPE`, naming the types that this source knows. */
export function definitionOf(rules: EventRules, type: string): EventDefinition {
  const definition = rules.catalogue.find(type);
  if (definition?.source === rules.source) return definition;
  const known = new Set(rules.catalogue.definitions.filter((d) => d.source === rules.source).map((d) => d.type));
  const owner = definition ? `, but one of ${definition.source}` : '';
  throw new OutboxError(
    'EVENT_UNKNOWN_TYPE',
    `${JSON.stringify(type)} is no event of the source ${rules.source}${owner}; its events are: ${[...known].sort().join(', ') || 'none'}.`,
  );
}

/** The aggregate's id as text: the Kafka key. Throws `EVENT_INVALID`. */
export function aggregateIdOf(type: string, id: unknown): string {
  const text = typeof id === 'bigint' || Number.isSafeInteger(id) ? String(id) : id;
  if (typeof text !== 'string' || text === '' || Buffer.byteLength(text) > maxAggregateIdBytes) {
    const shown = typeof id === 'string' ? JSON.stringify(id.slice(0, 40)) : String(id);
    throw new OutboxError(
      'EVENT_INVALID',
      `The aggregate id of ${type} is ${shown}; allowed: text of 1 to ${maxAggregateIdBytes} bytes, or a whole number.`,
    );
  }
  return text;
}

/**
 * The payload as it is stored, checked as its readers will see it (after JSON). Throws `EVENT_INVALID` or `EVENT_TOO_LARGE`,
 * naming the event and what is wrong.
 */
export function payloadText(
  rules: EventRules,
  definition: EventDefinition,
  aggregateId: string,
  headers: string | null,
  payload: unknown,
): string {
  const name = `${definition.type} of ${definition.aggregateType} ${aggregateId}`;
  let text: string | undefined;
  try {
    text = JSON.stringify(payload);
  } catch (cause) {
    throw new OutboxError('EVENT_INVALID', `${name} is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (text === undefined) throw new OutboxError('EVENT_INVALID', `${name} has no payload: its build gave ${payload}.`);
  const problem = rules.catalogue.check(definition, JSON.parse(text));
  if (problem !== null) throw new OutboxError('EVENT_INVALID', `${name} does not fit its schema: ${problem}.`);
  const limit = rules.maxEventBytes ?? defaultMaxEventBytes;
  const size = Buffer.byteLength(text) + (headers?.length ?? 0) + fixedHeaderBytes + 2 * Buffer.byteLength(aggregateId);
  if (size > limit) {
    throw new OutboxError(
      'EVENT_TOO_LARGE',
      `${name} has ${size} bytes; allowed: ${limit}, so that the broker takes it.`,
    );
  }
  return text;
}

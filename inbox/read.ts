import type { Catalogue } from '../events/catalogue.ts';
import { type EventEnvelope, envelopeOf, MalformedEventError } from '../events/envelope.ts';
import { isSkipped } from '../events/skipped.ts';
import type { IncomingMessage } from '../kafka/port.ts';
import type { Arrival } from './plan.ts';

/** Why a message can never be applied as it is. `handler`: its handler threw in every attempt. */
export const poisonReasons = [
  'malformed',
  'uncatalogued',
  'unknown-version',
  'schema',
  'handler',
  'gap',
  'parked-limit',
  'parked-age',
] as const;

export type PoisonReason = (typeof poisonReasons)[number];

export interface Poison {
  readonly message: IncomingMessage;
  readonly reason: PoisonReason;
  /** What is wrong, in words. */
  readonly detail: string;
  /** How often it was tried. */
  readonly attempts: number;
  /** What could be read of it. */
  readonly event: EventEnvelope | null;
  /** True where the event was parked and leaves that place. */
  readonly parked?: boolean;
}

/** Longest texts that the inbox's tables hold, in bytes. */
export const limits = { source: 64, type: 64, aggregateType: 64, aggregateId: 255 } as const;
const limited = Object.keys(limits) as (keyof typeof limits)[];

/** Reads messages as events; what is no event in order is poison. Never throws. */
export function readMessages(
  messages: readonly IncomingMessage[],
  catalogue: Catalogue,
): { arrivals: Arrival[]; poison: Poison[] } {
  const arrivals: Arrival[] = [];
  const poison: Poison[] = [];
  for (const message of messages) {
    const read = readMessage(message, catalogue);
    if ('reason' in read) poison.push(read);
    else arrivals.push(read);
  }
  return { arrivals, poison };
}

/** Reads one message as an event; what is no event in order is poison. Never throws. */
export function readMessage(message: IncomingMessage, catalogue: Catalogue): Arrival | Poison {
  let event: EventEnvelope | null = null;
  const bad = (reason: PoisonReason, detail: string): Poison => ({ message, reason, detail, attempts: 1, event });
  try {
    event = envelopeOf(message);
  } catch (error) {
    if (error instanceof MalformedEventError) return bad('malformed', error.message);
    return bad('malformed', `the message could not be read: ${String(error)}`);
  }
  for (const name of limited) {
    const text = event[name];
    // a character takes three bytes at most (two of them four)
    if (text.length > 0 && text.length * 3 <= limits[name]) continue;
    const length = Buffer.byteLength(text);
    if (length === 0 || length > limits[name]) {
      return bad('malformed', `${name} has ${length} bytes; allowed are 1 to ${limits[name]}`);
    }
  }
  const definition = catalogue.find(event.type, event.schemaVersion);
  if (!definition) {
    const known = catalogue.definitions
      .filter(({ type }) => type === event!.type)
      .map(({ schemaVersion }) => schemaVersion);
    return known.length === 0
      ? bad('uncatalogued', `the type ${JSON.stringify(event.type)} is not in the catalogue`)
      : bad(
          'unknown-version',
          `${event.type} has the schema version ${event.schemaVersion}; known: ${known.join(', ')}`,
        );
  }
  if (
    !isSkipped(event.type) &&
    (definition.source !== event.source || definition.aggregateType !== event.aggregateType)
  ) {
    const is = `${event.source}/${event.aggregateType}`;
    const expected = `${definition.source}/${definition.aggregateType}`;
    return bad('schema', `${event.type} is said to come from ${is}; the catalogue says ${expected}`);
  }
  const wrong = catalogue.check(definition, event.payload);
  return wrong === null ? { event, message } : bad('schema', wrong);
}

/**
 * An event as it travels: CloudEvents 1.0 in Kafka's binary mode. Attributes are `ce_*` headers, the value is the JSON
 * payload, the key is the aggregate's id. Source: CloudEvents Kafka Protocol Binding 1.0.2, section 3.2.
 */
export interface EventEnvelope<Payload = unknown> {
  /** UUIDv7, unique for ever. */
  eventId: string;
  /** The producing service. */
  source: string;
  type: string;
  schemaVersion: number;
  aggregateType: string;
  /** The Kafka key. */
  aggregateId: string;
  /** 1, 2, 3 … for each (source, aggregateType, aggregateId), without a gap. */
  version: bigint;
  /** UUID of the producer's database: changes when it is made anew, so that its versions are not taken for the old ones. */
  incarnation: string;
  /** Time of the change by the producer's database clock. */
  occurredAt: Date;
  /** W3C trace context of the request that made the change. */
  traceparent: string | null;
  payload: Payload;
}

export const headerNames = {
  specVersion: 'ce_specversion',
  id: 'ce_id',
  source: 'ce_source',
  type: 'ce_type',
  subject: 'ce_subject',
  time: 'ce_time',
  dataSchema: 'ce_dataschema',
  schemaVersion: 'ce_schemaversion',
  aggregateType: 'ce_aggregatetype',
  version: 'ce_aggregateversion',
  incarnation: 'ce_incarnation',
  contentType: 'content-type',
  traceparent: 'traceparent',
} as const;

/** The headers of an event. The payload stays bytes: the relay never parses what it forwards. */
export function headersOf(event: Omit<EventEnvelope, 'payload'>): Record<string, string> {
  return {
    [headerNames.specVersion]: '1.0',
    [headerNames.id]: event.eventId,
    [headerNames.source]: `/${event.source}`,
    [headerNames.type]: event.type,
    [headerNames.subject]: event.aggregateId,
    [headerNames.time]: event.occurredAt.toISOString(),
    [headerNames.dataSchema]: `/events/${event.type}/v${event.schemaVersion}`,
    [headerNames.schemaVersion]: String(event.schemaVersion),
    [headerNames.aggregateType]: event.aggregateType,
    [headerNames.version]: String(event.version),
    [headerNames.incarnation]: event.incarnation,
    [headerNames.contentType]: 'application/json',
    ...(event.traceparent === null ? {} : { [headerNames.traceparent]: event.traceparent }),
  };
}

/** A message that is no event of ours, or a broken one. `message` says which header or part is wrong. */
export class MalformedEventError extends Error {
  override readonly name = 'MalformedEventError';
  readonly code = 'EVENT_MALFORMED';
  readonly retryable = false;
}

/** A message as far as an event is in it. `headerText`: where that is at hand without a buffer for each header. */
export interface EventMessage {
  key: Buffer | null;
  value: Buffer | null;
  headers: Readonly<Record<string, Buffer>>;
  headerText?(name: string): string | undefined;
}

/** Reads a Kafka message back into an event. Throws `MalformedEventError`. The payload is parsed, not yet checked. */
export function envelopeOf(message: EventMessage): EventEnvelope {
  const optional = (name: string): string | undefined =>
    message.headerText ? message.headerText(name) : message.headers[name]?.toString('utf8');
  const header = (name: string): string => {
    const value = optional(name);
    if (value === undefined) throw new MalformedEventError(`header ${name} is missing`);
    return value;
  };
  if (message.key === null) throw new MalformedEventError('the key (the aggregate id) is missing');
  const aggregateId = message.key.toString('utf8');
  if (header(headerNames.subject) !== aggregateId) {
    throw new MalformedEventError(`header ${headerNames.subject} does not equal the key`);
  }
  return {
    eventId: matching(headerNames.id, header(headerNames.id), uuidPattern),
    source: sourceOf(header(headerNames.source)),
    type: header(headerNames.type),
    schemaVersion: schemaVersionOf(header(headerNames.schemaVersion)),
    aggregateType: header(headerNames.aggregateType),
    aggregateId,
    version: BigInt(matching(headerNames.version, header(headerNames.version), /^[1-9][0-9]{0,18}$/)),
    incarnation: incarnationOf(header(headerNames.incarnation)),
    occurredAt: timeOf(header(headerNames.time)),
    traceparent: optional(headerNames.traceparent) ?? null,
    payload: payloadOf(message.value),
  };
}

const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

// What is nearly always the same from one event to the next.
const sourceOf = lastKept((text) => matching(headerNames.source, text, /^\/[^/]+$/).slice(1));
const schemaVersionOf = lastKept((text) => Number(matching(headerNames.schemaVersion, text, /^[1-9][0-9]{0,8}$/)));
const incarnationOf = lastKept((text) => matching(headerNames.incarnation, text, uuidPattern));

/** Reads a text, and the same text again for nothing. What it refuses it refuses again. */
function lastKept<Value>(read: (text: string) => Value): (text: string) => Value {
  let last: { text: string; value: Value } | null = null;
  return (text) => {
    if (last?.text !== text) last = { text, value: read(text) };
    return last.value;
  };
}

function matching(name: string, value: string, pattern: RegExp): string {
  if (!pattern.test(value)) throw new MalformedEventError(`header ${name} has the value ${JSON.stringify(value)}`);
  return value;
}

function timeOf(value: string): Date {
  const time = new Date(value);
  if (Number.isNaN(time.getTime())) throw new MalformedEventError(`header ${headerNames.time} is not a time: ${value}`);
  return time;
}

function payloadOf(value: Buffer | null): unknown {
  if (value === null) throw new MalformedEventError('the value is missing');
  try {
    return JSON.parse(value.toString('utf8'));
  } catch (cause) {
    throw new MalformedEventError('the value is not JSON', { cause });
  }
}

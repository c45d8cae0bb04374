import type { IncomingMessage } from '../../kafka/port.ts';
import type { PoisonReason } from '../read.ts';

/** `waiting`: for somebody. `replayed`: its event was decided about again. `discarded`: nobody needs it. */
export type LetterState = 'waiting' | 'replayed' | 'discarded';

/** A dead letter without its message. Ids, offsets and versions are decimal texts, times ISO 8601. */
export interface LetterSummary {
  id: string;
  state: LetterState;
  /** Grows with each edit; an edit names the one that it has seen. */
  revision: number;
  topic: string;
  partition: number;
  offset: string;
  reason: PoisonReason;
  detail: string;
  attempts: number;
  /** What could be read of its event; null where nothing could. */
  event: LetterEvent | null;
  createdAt: string;
  lastSeenAt: string;
  settledAt: string | null;
}

export interface LetterEvent {
  eventId: string;
  type: string;
  source: string;
  aggregateType: string;
  aggregateId: string;
  version: string;
}

/** A dead letter as the operations work with it. */
export interface Letter extends LetterSummary {
  message: IncomingMessage;
}

/** Bytes as people read them: text where they are UTF-8, else base64. */
export type Readable = string | { base64: string };

export interface ReadableMessage {
  key: Readable | null;
  value: Readable | null;
  headers: Record<string, Readable>;
}

/** What somebody did to a letter. */
export interface AuditEntry {
  id: string;
  action: 'replayed' | 'replay-failed' | 'edited' | 'discarded';
  /** Of a replay: see `ReplayOutcome`. */
  outcome: string | null;
  by: string;
  why: string;
  /** The message before and after an edit, else null. */
  before: ReadableMessage | null;
  after: ReadableMessage | null;
  at: string;
}

export function readable(bytes: Buffer): Readable {
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : { base64: bytes.toString('base64') };
}

export function readableMessage({
  key,
  value,
  headers,
}: Pick<IncomingMessage, 'key' | 'value' | 'headers'>): ReadableMessage {
  return {
    key: key === null ? null : readable(key),
    value: value === null ? null : readable(value),
    headers: Object.fromEntries(Object.entries(headers).map(([name, bytes]) => [name, readable(bytes)])),
  };
}

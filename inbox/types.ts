import type { EventEnvelope } from '../events/envelope.ts';

/**
 * How a consumer reads its streams. `state`: each event carries complete state, so the newest version wins and a gap loses
 * nothing. `sequence`: every version matters and is applied as 1, 2, 3 …; an early one is parked until the gap is filled.
 * The mode belongs to the consumer, not to an event type: one watermark cannot serve both.
 */
export type InboxMode = 'state' | 'sequence';

/** An event as a handler gets it: checked against its schema, and where in Kafka it came from. */
export interface InboxEvent<Payload = unknown> extends EventEnvelope<Payload> {
  topic: string;
  partition: number;
  offset: bigint;
  /** True where a newer event of the same stream is applied in the same call: in `state` mode it may be left out. */
  superseded: boolean;
}

/**
 * The transaction that carries an event's effects together with its inbox row, watermark and offset: all or nothing. Usable
 * only while the handler runs; an error of the database dooms it, also where the handler swallows the error.
 */
export interface InboxTransaction {
  /** A statement that answers rows. Parameters as in mysql2: `?` for values, arrays for lists. BIGINT comes as a string. */
  query<Row = Record<string, unknown>>(sql: string, params?: readonly unknown[]): Promise<Row[]>;
  /** A statement that changes rows. */
  write(sql: string, params?: readonly unknown[]): Promise<{ affectedRows: number; insertId: number | string }>;
  /** The Sequelize transaction to pass to models, where the inbox runs on a Sequelize instance; else undefined. */
  readonly transaction?: unknown;
}

/**
 * What to do with applied events; give exactly one of the two. Thrown errors undo everything that the call did. A handler
 * must do its work through `tx` alone: what it does elsewhere is neither undone nor done once.
 */
export interface InboxHandler {
  /** All events that are applied together, in order for each stream. Touch rows in sorted order. */
  handleBatch?(tx: InboxTransaction, events: readonly InboxEvent[]): Promise<unknown>;
  /** One event; simpler, slower. */
  handle?(tx: InboxTransaction, event: InboxEvent): Promise<unknown>;
}

/**
 * Handlers by event type. `'*'` gets every event whose type has no handler of its own. The same object under several
 * types gets their events together. A catalogued type without a handler just advances the watermark.
 */
export type InboxHandlers = Readonly<Record<string, InboxHandler>>;

/** After the commit, before the next batch of the same partition. Errors are logged and change nothing. */
export type AfterCommit = (events: readonly InboxEvent[]) => Promise<unknown> | unknown;

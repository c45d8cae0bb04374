import { escape as literal } from 'mysql2';
import { envelopeOf } from '../../events/envelope.ts';
import type { DatabaseTransaction } from '../database/database.ts';
import { isDuplicateKey, KnownIdError } from '../database/errors.ts';
import { type Arrival, type Stream, type StreamKey, type StreamState, streamKey } from '../plan.ts';
import type { Poison } from '../read.ts';
import { eventColumns, headersFromText, headersToText, uuidFromBytes, uuidToHex } from './messages.ts';
import * as sql from './sql.ts';
import type { NewStream, Position, StoreTransaction } from './store.ts';

/** Lists in one statement at most: MariaDB turns longer ones of 1,000 into a join with a temporary table. */
const longestList = 500;
/** Characters of one statement with messages at most: well below the 16 MiB that servers take by default. */
const longestText = 4_000_000;

/**
 * One transaction on the inbox's tables. Statements are put together here in place of the driver's placeholders: a batch has
 * thousands of values, and hexadecimal literals of ids are several times quicker than buffers.
 */
export class MysqlStoreTransaction implements StoreTransaction {
  readonly handlerTransaction: DatabaseTransaction;
  #consumer: number;

  constructor(tx: DatabaseTransaction, consumer: number) {
    this.handlerTransaction = tx;
    this.#consumer = consumer;
  }

  async lockStreams(streams: readonly NewStream[]): Promise<Map<StreamKey, StreamState>> {
    const wanted = new Map(streams.map((stream) => [streamKey(stream), stream]));
    const keys = [...wanted.keys()].sort();
    const found = new Map<StreamKey, StreamState>();
    await this.#lock(
      keys.map((key) => wanted.get(key)!),
      found,
    );
    const missing = keys.filter((key) => !found.has(key)).map((key) => wanted.get(key)!);
    if (missing.length > 0) {
      await this.#create(missing);
      await this.#lock(missing, found);
    }
    return found;
  }

  async findSeen(ids: readonly string[]): Promise<Set<string>> {
    const seen = new Set<string>();
    for (const part of parts(ids)) {
      const list = part.map((id) => `X'${uuidToHex(id)}'`).join();
      for (const [id] of await this.#rows(sql.findSeen(this.#consumer, list))) seen.add(uuidFromBytes(id as Buffer));
    }
    return seen;
  }

  async record(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    try {
      await this.#write(sql.record(ids.map((id) => `(${this.#consumer},X'${uuidToHex(id)}')`).join()));
    } catch (cause) {
      if (!isDuplicateKey(cause)) throw cause;
      throw new KnownIdError('An id is in the inbox although its stream has not passed it.', { cause });
    }
  }

  async writeStreams(streams: readonly StreamState[]): Promise<void> {
    if (streams.length > 0) await this.#write(sql.writeStreams(streams.map((stream) => this.#row(stream)).join()));
  }

  async writeOffsets(positions: readonly Position[]): Promise<void> {
    if (positions.length === 0) return;
    const rows = positions.map(
      ({ topic, partition, offset }) => `(${this.#consumer},${literal(topic)},${partition},${offset},UTC_TIMESTAMP(6))`,
    );
    await this.#write(sql.writeOffsets(rows.join()));
  }

  async findParked(streams: readonly Stream[]): Promise<Map<StreamKey, Arrival[]>> {
    const parked = new Map<StreamKey, Arrival[]>();
    for (const part of parts(streams)) {
      for (const row of await this.#rows(sql.findParked(this.#consumer, part.map(isStream).join(' OR ')))) {
        const arrival = parkedArrival(row);
        const key = streamKey(arrival.event);
        parked.set(key, [...(parked.get(key) ?? []), arrival]);
      }
    }
    return parked;
  }

  async park(arrivals: readonly Arrival[]): Promise<void> {
    const rows = arrivals.map(({ event, message }) => [
      ...this.#streamValues(event),
      uuidLiteral(event.incarnation),
      event.version,
      ...messageValues(message),
      literal(message.value),
      literal(headersToText(message.headers)),
      'UTC_TIMESTAMP(6)',
    ]);
    for (const part of partsBySize(rows)) await this.#write(sql.park(part));
  }

  async unpark(arrivals: readonly Arrival[]): Promise<void> {
    for (const part of parts(arrivals)) {
      const rows = part.map(
        ({ event }) =>
          `(${isStream(event)} AND incarnation = ${uuidLiteral(event.incarnation)} AND version = ${event.version})`,
      );
      await this.#write(sql.unpark(this.#consumer, rows.join(' OR ')));
    }
  }

  async writeDeadLetters(poison: readonly Poison[]): Promise<void> {
    const rows = poison.map(({ message, reason, detail, attempts, event }) => [
      this.#consumer,
      ...messageValues(message),
      literal(message.key),
      literal(message.value),
      literal(headersToText(message.headers)),
      literal(reason),
      literal(detail.slice(0, 10_000)),
      attempts,
      ...eventColumns(event).map((value) => literal(value)),
      'UTC_TIMESTAMP(6)',
      'UTC_TIMESTAMP(6)',
    ]);
    for (const part of partsBySize(rows)) await this.#write(sql.writeDeadLetters(part));
  }

  /** One statement for each source and aggregate type, nearly always one in all: a range of the primary key, in its order. */
  async #lock(streams: readonly Stream[], found: Map<StreamKey, StreamState>): Promise<void> {
    for (const line of linesOf(streams)) {
      const { source, aggregateType } = line[0]!;
      for (const part of parts(line)) {
        const ids = part.map(({ aggregateId }) => literal(aggregateId)).join();
        const statement = sql.lockStreams(this.#consumer, literal(source), literal(aggregateType), ids);
        for (const row of await this.#rows(statement)) {
          const state = streamState(source, aggregateType, row);
          found.set(streamKey(state), state);
        }
      }
    }
  }

  async #create(streams: readonly NewStream[]): Promise<void> {
    const rows = streams.map((stream) => this.#row({ ...stream, parked: 0 }));
    await this.#write(sql.createStreams(rows.join()));
  }

  #row(state: StreamState): string {
    const { incarnation, version, occurredAtMs, parked } = state;
    return `(${this.#streamValues(state)},${uuidLiteral(incarnation)},${version},${occurredAtMs},${parked})`;
  }

  #streamValues({ source, aggregateType, aggregateId }: Stream): (string | number)[] {
    return [this.#consumer, literal(source), literal(aggregateType), literal(aggregateId)];
  }

  #rows(statement: string): Promise<unknown[][]> {
    return this.handlerTransaction.rows(statement);
  }

  #write(statement: string): Promise<unknown> {
    return this.handlerTransaction.write(statement);
  }
}

function isStream({ source, aggregateType, aggregateId }: Stream): string {
  return `(source = ${literal(source)} AND aggregate_type = ${literal(aggregateType)} AND aggregate_id = ${literal(aggregateId)})`;
}

function uuidLiteral(uuid: string): string {
  return `X'${uuidToHex(uuid)}'`;
}

function messageValues({ topic, partition, offset, timestampMs }: Arrival['message']): (string | number | bigint)[] {
  return [literal(topic), partition, offset, timestampMs];
}

function streamState(source: string, aggregateType: string, row: unknown[]): StreamState {
  const [aggregateId, incarnation, version, occurredAtMs, parked] = row as [Buffer, Buffer, string, string, number];
  return {
    source,
    aggregateType,
    aggregateId: aggregateId.toString(),
    incarnation: uuidFromBytes(incarnation),
    version: BigInt(version),
    occurredAtMs: Number(occurredAtMs),
    parked,
  };
}

function parkedArrival(row: unknown[]): Arrival {
  const [topic, partition, offset, timestampMs, key, value, headers] = row as [
    Buffer,
    number,
    string,
    string,
    Buffer,
    Buffer,
    Buffer,
  ];
  const message = {
    topic: topic.toString(),
    partition,
    offset: BigInt(offset),
    timestampMs: Number(timestampMs),
    key,
    value,
    headers: headersFromText(headers.toString()),
  };
  return { event: envelopeOf(message), message, parked: true };
}

/** Streams of one source and aggregate type each, in the order given. */
function linesOf(streams: readonly Stream[]): Stream[][] {
  const lines = new Map<string, Stream[]>();
  for (const stream of streams) {
    const name = `${stream.source}\u0000${stream.aggregateType}`;
    const line = lines.get(name);
    if (line) line.push(stream);
    else lines.set(name, [stream]);
  }
  return [...lines.values()];
}

function* parts<Item>(items: readonly Item[]): Generator<readonly Item[]> {
  for (let at = 0; at < items.length; at += longestList) yield items.slice(at, at + longestList);
}

/** Rows as SQL text of a size that every server takes: they carry whole messages. */
function* partsBySize(rows: readonly (string | number | bigint)[][]): Generator<string> {
  let part = '';
  for (const row of rows) {
    const text = `(${row.join()})`;
    if (part !== '' && part.length + text.length > longestText) {
      yield part;
      part = '';
    }
    part += part === '' ? text : `,${text}`;
  }
  if (part !== '') yield part;
}

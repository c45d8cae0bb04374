import type { StoredEvent } from '../relay/sources/store.ts';
import type { FakeDatabase } from '../relay/testing/fake-database.ts';
import type { LedgerRow } from './history.ts';
import { Locks } from './locks.ts';
import type { World } from './world.ts';

export const insertLike = 'INSERT INTO likes (article_id, call) VALUES (?, ?)';
export const countLikes = 'SELECT COUNT(*) AS likes FROM likes WHERE article_id = ?';

/** What a transaction has changed and not committed. */
class Draft {
  readonly versions = new Map<string, number>();
  readonly likes: { article: string; call: number }[] = [];
  readonly pending: { id: number; bucket: number; keyHash: string }[] = [];
  readonly events: StoredEvent[] = [];
  readonly locks: string[] = [];
  over = false;
}

const lockWaitMs = 900;
const day = '2026-01-01';

/**
 * The producers' side of a source's database: likes, version lines and the outbox, READ COMMITTED with row locks. It reads the
 * outbox's own statements, by their first words. Ids are given out by statements and seen at the commit, so that a lower one may
 * come late; an undone transaction leaves a hole.
 */
export class ProducerDatabase {
  readonly ledger: LedgerRow[] = [];
  readonly likes = new Map<string, number>();
  /** Of each committed event: the count in its payload beside the one that was true at its commit. */
  readonly counts: { event: string; said: number; true: number }[] = [];
  readonly #versions = new Map<string, number>();
  readonly #tables: FakeDatabase;
  readonly #locks: Locks<Draft>;
  readonly #world: World;

  constructor(world: World, tables: FakeDatabase) {
    this.#world = world;
    this.#tables = tables;
    this.#locks = new Locks(world, lockWaitMs, () => databaseError(1205, 'Lock wait timeout exceeded'));
  }

  session(): Session {
    return new Session(this);
  }

  /** Rolls back, and lets go of its locks. What follows in the session is in a new transaction, as with MySQL. */
  undo(session: Session): void {
    const { draft } = session;
    session.draft = new Draft();
    this.#locks.free(draft);
  }

  commit(session: Session): void {
    const { versions, likes, pending, events } = session.draft;
    for (const [line, version] of versions) this.#versions.set(line, version);
    for (const { id, bucket, keyHash } of pending) {
      this.#tables.pending.set(id, { row: { id: String(id), day, keyHash }, bucket, state: 0 });
    }
    for (const event of events) this.#tables.events.set(event.id, event);
    likes.forEach(({ article, call }, index) => {
      this.likes.set(article, (this.likes.get(article) ?? 0) + 1);
      // The truth is the like: that it has an event is what the outbox promises.
      const event = events[index];
      const version = Number(event?.version ?? 0);
      this.ledger.push({ event: event?.eventId ?? `call ${call} without an event`, aggregate: article, version });
      if (!event) return;
      const { likes: said } = JSON.parse(event.payload.toString()) as { likes: number };
      this.counts.push({ event: event.eventId, said, true: this.likes.get(article)! });
    });
    session.committed = events;
    this.undo(session);
  }

  /** Carries out one statement. Answers a promise where it has to wait for a lock. */
  execute(session: Session, sql: string, values: readonly unknown[]): unknown {
    const { draft } = session;
    switch (wordsOf(sql)) {
      case 'INSERT INTO likes':
        draft.likes.push({ article: String(values[0]), call: Number(values[1]) });
        return { insertId: 0, affectedRows: 1 };
      case 'SELECT COUNT(*) AS': {
        const article = String(values[0]);
        const mine = draft.likes.filter((like) => like.article === article).length;
        return [{ likes: (this.likes.get(article) ?? 0) + mine }];
      }
      case 'INSERT INTO outbox_stream': {
        const [type, id, , count] = values as [string, string, number, number];
        return this.#locked(session, `${type} ${id}`, (line) => {
          const version = (session.draft.versions.get(line) ?? this.#versions.get(line) ?? 0) + count;
          session.draft.versions.set(line, version);
          return { insertId: version, affectedRows: 1 };
        });
      }
      // A version line that is read and written by itself: nobody does that, and mutants must not go unseen.
      case 'SELECT version FROM': {
        const line = `${values[0]} ${values[1]}`;
        const version = draft.versions.get(line) ?? this.#versions.get(line);
        return version === undefined ? [] : [{ version }];
      }
      case 'REPLACE INTO outbox_stream': {
        const [type, id, version] = values as [string, string, number];
        return this.#locked(session, `${type} ${id}`, (line) => {
          session.draft.versions.set(line, Number(version));
          return { insertId: 0, affectedRows: 1 };
        });
      }
      case 'INSERT INTO outbox_pending': {
        const first = this.#tables.nextId(values.length / 3);
        for (let at = 0; at < values.length; at += 3) {
          const [bucket, keyHash] = values.slice(at) as [number, string];
          draft.pending.push({ id: first + at / 3, bucket, keyHash: String(keyHash) });
        }
        return { insertId: first, affectedRows: values.length / 3 };
      }
      case 'INSERT INTO outbox':
        for (let at = 0; at < values.length; at += 10) draft.events.push(this.#event(values.slice(at, at + 10)));
        return { insertId: 0, affectedRows: values.length / 10 };
      case 'SELECT @@auto_increment_increment AS':
        return [{ step: 1 }];
      default:
        throw new Error(`the simulator's database knows no statement like ${sql}`);
    }
  }

  #locked(session: Session, line: string, then: (line: string) => unknown): unknown {
    const granted = this.#locks.take(session.draft, line);
    return granted ? granted.then(() => then(line)) : then(line);
  }

  #event(values: unknown[]): StoredEvent {
    const [id, , , aggregateType, aggregateId, version, eventType, schemaVersion, payload] = values as string[];
    // The given event id is random: the same run must have the same.
    const eventId = `00000000-0000-0000-0000-${Number(id).toString(16).padStart(12, '0')}`;
    return {
      ...{ id: id!, eventId, aggregateType: aggregateType!, aggregateId: aggregateId! },
      ...{ version: version!, eventType: eventType!, schemaVersion: Number(schemaVersion) },
      ...{
        payload: Buffer.from(payload!),
        traceparent: null,
        createdAt: new Date(1_767_225_600_000 + this.#world.nowMs),
      },
    };
  }
}

/** One connection. */
export class Session {
  draft = new Draft();
  /** The connection is gone. */
  broken = false;
  committed: readonly StoredEvent[] = [];
  readonly database: ProducerDatabase;

  constructor(database: ProducerDatabase) {
    this.database = database;
  }
}

const words = new Map<string, string>();

/** The first words of a statement, up to its table or list: `INSERT INTO outbox`. */
function wordsOf(sql: string): string {
  const known = words.get(sql);
  if (known !== undefined) return known;
  const found = /^\s*(INSERT INTO \w+|REPLACE INTO \w+|SELECT \S+ (AS|FROM))/.exec(sql)?.[1] ?? sql;
  words.set(sql, found);
  return found;
}

export function databaseError(errno: number, message: string): Error {
  return Object.assign(new Error(message), { errno, sqlState: '40001' });
}

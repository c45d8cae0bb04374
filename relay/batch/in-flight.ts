/** Names one read of the head. */
export type ReadTicket = number;

/**
 * The rows of a bucket that a read of the head may still show although they must not be sent (again): sent and without an
 * answer, or acknowledged and their delete not known to be seen by that read.
 *
 * A row leaves only after a read that BEGAN when its delete was committed: an older read may show it still.
 */
export class InFlight {
  #reads: ReadTicket = 0;
  /** The last read that began before the row's delete was known to be committed; null: no delete yet. */
  readonly #rows = new Map<string, ReadTicket | null>();

  get size(): number {
    return this.#rows.size;
  }

  has(id: string): boolean {
    return this.#rows.has(id);
  }

  beginRead(): ReadTicket {
    return ++this.#reads;
  }

  /** The read has its answer: what was deleted before it began is not in it and can be forgotten. */
  endRead(read: ReadTicket): void {
    for (const [id, lastUnsafe] of this.#rows) if (lastUnsafe !== null && lastUnsafe < read) this.#rows.delete(id);
  }

  /** Just before they are sent. */
  add(ids: readonly string[]): void {
    for (const id of ids) this.#rows.set(id, null);
  }

  /** Not acknowledged: the next read takes them again, from the head. */
  remove(ids: readonly string[]): void {
    for (const id of ids) this.#rows.delete(id);
  }

  /** Their delete is committed. */
  deleted(ids: readonly string[]): void {
    for (const id of ids) if (this.#rows.has(id)) this.#rows.set(id, this.#reads);
  }
}

import type { PendingRow, StoredEvent } from '../sources/store.ts';

/** An event with the place it goes to. */
export interface Routed {
  row: PendingRow;
  event: StoredEvent;
  topic: string;
  partition: number;
}

export interface Packed {
  send: Routed[];
  /** Left out because their partition waits after a failure: their keys are to be held for it. */
  waiting: { keyHash: string; cause: string }[];
  /** Rows that can't be sent as they are: without a stored event, or with one that no topic takes. Their keys go no further. */
  bad: { row: PendingRow; event: StoredEvent | null; code: string; message: string }[];
}

/** One name for a (topic, partition). */
export function partitionCause(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}

/** One name for a key that waits on its own. */
export function keyCause(keyHash: string): string {
  return `key ${keyHash}`;
}

/**
 * Brings the fetched events into the order of their rows and leaves out what can't go now. Once a key's event is left out,
 * its later ones are as well. A row that can't be sent, or that the broker has refused (`wasRefused`), waits until all before
 * it of its key are acknowledged: only the first unsent event of a key can hold it up.
 */
export function pack(
  rows: readonly PendingRow[],
  events: readonly StoredEvent[],
  route: (event: StoredEvent) => { topic: string; partition: number },
  isWaiting: (cause: string) => boolean,
  wasRefused: (id: string) => boolean = () => false,
): Packed {
  const byId = new Map(events.map((event) => [event.id, event]));
  const closedKeys = new Set<string>();
  const begunKeys = new Set<string>();
  const packed: Packed = { send: [], waiting: [], bad: [] };
  const leaveOut = (row: PendingRow, event: StoredEvent | null, code: string, message: string) => {
    if (!begunKeys.has(row.keyHash)) packed.bad.push({ row, event, code, message });
    closedKeys.add(row.keyHash);
  };
  for (const row of rows) {
    if (closedKeys.has(row.keyHash)) continue;
    const event = byId.get(row.id);
    if (!event) {
      leaveOut(row, null, 'EVENT_MISSING', `no event of ${row.day} in the outbox`);
      continue;
    }
    if (begunKeys.has(row.keyHash) && wasRefused(row.id)) {
      closedKeys.add(row.keyHash);
      continue;
    }
    let place: { topic: string; partition: number };
    try {
      place = route(event);
    } catch (error) {
      leaveOut(row, event, 'EVENT_UNROUTABLE', (error as Error).message);
      continue;
    }
    const { topic, partition } = place;
    const cause = partitionCause(topic, partition);
    if (isWaiting(cause)) {
      packed.waiting.push({ keyHash: row.keyHash, cause });
      closedKeys.add(row.keyHash);
    } else {
      begunKeys.add(row.keyHash);
      packed.send.push({ row, event, topic, partition });
    }
  }
  return packed;
}

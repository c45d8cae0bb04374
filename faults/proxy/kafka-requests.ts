import type { Direction } from './mode.ts';

/** Numbers of Kafka's requests that faults are usually tied to (Kafka protocol guide, "Api Keys"). */
export const kafkaApi = {
  produce: 0,
  fetch: 1,
  metadata: 3,
  offsetCommit: 8,
  joinGroup: 11,
  heartbeat: 12,
  initProducerId: 22,
  addPartitionsToTxn: 24,
  endTxn: 26,
} as const;

/**
 * An `inspect` for `TcpProxy` that reads Kafka's frames and tells `listener` the api key of each request, before any byte
 * of the chunk that completes the request's header goes on. So a test can break the network at a certain point:
 * `if (apiKey === kafkaApi.endTxn) proxy.set({ mode: 'swallow' })` lets the commit through and loses its answer.
 */
export function watchRequests(
  listener: (apiKey: number) => void,
): (chunk: Buffer, direction: Direction, connection: number) => void {
  const readers = new Map<number, FrameReader>();
  return (chunk, direction, connection) => {
    if (direction !== 'requests') return;
    let reader = readers.get(connection);
    if (!reader) {
      reader = new FrameReader(listener);
      readers.set(connection, reader);
    }
    reader.read(chunk);
  };
}

/** Frames are a 4-byte length and so many bytes; a request's begin with its api key, 2 bytes. */
class FrameReader {
  readonly #listener: (apiKey: number) => void;
  #header = Buffer.alloc(0);
  #skip = 0;

  constructor(listener: (apiKey: number) => void) {
    this.#listener = listener;
  }

  read(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      const skipped = Math.min(this.#skip, rest.length);
      this.#skip -= skipped;
      rest = rest.subarray(skipped);
      if (rest.length === 0) return;
      const taken = rest.subarray(0, 6 - this.#header.length);
      this.#header = Buffer.concat([this.#header, taken]);
      rest = rest.subarray(taken.length);
      if (this.#header.length < 6) return;
      this.#skip = this.#header.readUInt32BE(0) - 2;
      const apiKey = this.#header.readInt16BE(4);
      this.#header = Buffer.alloc(0);
      this.#listener(apiKey);
    }
  }
}

import { type Cursor, readBytes, readVarint } from './varint.ts';

const none = Buffer.alloc(0);

/** The headers of one record. Of one name the last counts. */
export function readHeaders(cursor: Cursor): Record<string, Buffer> {
  const headers: Record<string, Buffer> = {};
  for (let left = readVarint(cursor); left > 0; left--) {
    const name = readBytes(cursor);
    const value = readBytes(cursor);
    if (name) headers[name.toString()] = value ?? none;
  }
  return headers;
}

/**
 * Reads headers as texts. From one message to the next most of them are the same, byte for byte: then the text of the
 * message before is taken, and nothing is made.
 */
export class HeaderTexts {
  /** Of the message that was read last: where which name is, and the values. */
  current: { places: ReadonlyMap<string, number>; values: readonly string[] } = { places: new Map(), values: [] };
  #names: readonly (string | null)[] = [];

  read(cursor: Cursor): HeaderTexts['current'] {
    const count = readVarint(cursor);
    const names: (string | null)[] = new Array(count);
    const values: string[] = new Array(count);
    let same = count === this.#names.length;
    for (let place = 0; place < count; place++) {
      names[place] = readText(cursor, this.#names[place]);
      values[place] = readText(cursor, this.current.values[place]) ?? '';
      same &&= names[place] === this.#names[place];
    }
    if (!same) this.#names = names;
    this.current = { places: same ? this.current.places : placesOf(names), values };
    return this.current;
  }
}

function placesOf(names: readonly (string | null)[]): Map<string, number> {
  const places = new Map<string, number>();
  for (const [place, name] of names.entries()) if (name !== null) places.set(name, place);
  return places;
}

/** `guess` itself where that is what the bytes say. */
function readText(cursor: Cursor, guess: string | null | undefined): string | null {
  const { bytes } = cursor;
  const length = readVarint(cursor);
  if (length < 0) return null;
  const start = cursor.at;
  cursor.at += length;
  if (guess?.length === length) {
    let index = 0;
    while (index < length && bytes[start + index] === guess.charCodeAt(index) && bytes[start + index]! < 128) index++;
    if (index === length) return guess;
  }
  return bytes.toString('utf8', start, cursor.at);
}

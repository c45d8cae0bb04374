/** Bytes that are read from front to back. */
export interface Cursor {
  bytes: Buffer;
  at: number;
}

/** A 32-bit integer, as `putVarint` of record-batch.ts writes it (zigzag). */
export function readVarint(cursor: Cursor): number {
  const { bytes } = cursor;
  let byte = bytes[cursor.at++]!;
  let value = byte & 127;
  for (let shift = 7; byte > 127; shift += 7) {
    byte = bytes[cursor.at++]!;
    value |= (byte & 127) << shift;
  }
  return (value >>> 1) ^ -(value & 1);
}

/** A 64-bit integer, right up to 2^52. */
export function readWideVarint(cursor: Cursor): number {
  const { bytes } = cursor;
  let value = 0;
  let byte: number;
  let scale = 1;
  do {
    byte = bytes[cursor.at++]!;
    value += (byte & 127) * scale;
    scale *= 128;
  } while (byte > 127);
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

/** Its length, or -1 for null, then the bytes. They are not copied. */
export function readBytes(cursor: Cursor): Buffer | null {
  const length = readVarint(cursor);
  if (length < 0) return null;
  const start = cursor.at;
  cursor.at += length;
  return cursor.bytes.subarray(start, cursor.at);
}

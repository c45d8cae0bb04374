import { randomFillSync } from 'node:crypto';

/** Random bytes are fetched for many ids at once: one by one they cost more than all else here. */
const pool = Buffer.allocUnsafeSlow(4096);
let used = pool.length;

/** A UUIDv7 (RFC 9562, 5.7) as its 16 bytes: 48 bits of ms since 1970, then random. Ids that grow with time keep indexes dense. */
export function newEventId(nowMs: number = Date.now()): Buffer {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const id = Buffer.from(pool.subarray(used, used + 16));
  used += 16;
  id.writeUIntBE(nowMs, 0, 6);
  id[6] = (id[6]! & 0x0f) | 0x70;
  id[8] = (id[8]! & 0x3f) | 0x80;
  return id;
}

/** The 16 bytes as text, as they travel. */
export function eventIdText(id: Buffer): string {
  const hex = id.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

import type { EventEnvelope } from '../../events/envelope.ts';
import type { IncomingMessage } from '../../kafka/port.ts';
import { limits } from '../read.ts';

/** Headers as JSON text: each value in base64, since it may be any bytes. */
export function headersToText(headers: IncomingMessage['headers']): string {
  const texts: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) texts[name] = value.toString('base64');
  return JSON.stringify(texts);
}

export function headersFromText(text: string): Record<string, Buffer> {
  const headers: Record<string, Buffer> = {};
  for (const [name, value] of Object.entries(JSON.parse(text) as Record<string, string>)) {
    headers[name] = Buffer.from(value, 'base64');
  }
  return headers;
}

export const uuidToHex = (uuid: string) => {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid)) {
    throw new TypeError(`${JSON.stringify(uuid)} is no UUID in lower case.`);
  }
  return uuid.slice(0, 8) + uuid.slice(9, 13) + uuid.slice(14, 18) + uuid.slice(19, 23) + uuid.slice(24);
};

export const uuidFromBytes = (bytes: Buffer) => {
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
};

/**
 * What a dead letter's columns hold of its event: id, type, source, aggregate type and id, version. What is too long to be an
 * event still has to fit.
 */
export function eventColumns(event: EventEnvelope | null): (Buffer | bigint | null)[] {
  if (event === null) return Array(6).fill(null);
  return [
    Buffer.from(uuidToHex(event.eventId), 'hex'),
    cut(event.type, 190),
    cut(event.source, limits.source),
    cut(event.aggregateType, limits.aggregateType),
    cut(event.aggregateId, limits.aggregateId),
    event.version,
  ];
}

function cut(text: string, bytes: number): Buffer {
  return Buffer.from(text).subarray(0, bytes);
}

import { hash } from 'node:crypto';

/** 32 bytes that stand for what was asked for. Two values that differ only in the order of their fields are the same. */
export function fingerprintOf(request: unknown): Buffer {
  const text = JSON.stringify(request, (_name, value) => (isFields(value) ? sorted(value) : value)) ?? '';
  return hash('sha256', text, 'buffer');
}

function isFields(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sorted(fields: object): object {
  return Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
}

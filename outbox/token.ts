import { OutboxError } from './errors.ts';

/** How far a write got on one version line. `version` is a decimal string. */
export type TokenEntry = readonly [source: string, aggregateType: string, aggregateId: string, version: string];

/**
 * A consistency token: what a client has written, so that a reader can tell whether a view has caught up with it.
 * Base64url of JSON `[["source","aggregateType","aggregateId","version"],…]`, at most one entry for each version line.
 */
export function encodeToken(entries: readonly TokenEntry[]): string {
  return Buffer.from(JSON.stringify(newest(entries)), 'utf8').toString('base64url');
}

/** Throws `TOKEN_INVALID` for anything else than what `encodeToken` gives: tokens come back from clients. */
export function decodeToken(token: string): TokenEntry[] {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
  } catch (cause) {
    throw new OutboxError('TOKEN_INVALID', 'The consistency token is not base64url of JSON.', { cause });
  }
  if (!Array.isArray(value) || !value.every(isEntry)) {
    throw new OutboxError(
      'TOKEN_INVALID',
      'The consistency token is not a list of [source, aggregateType, aggregateId, version].',
    );
  }
  return value;
}

/** One token for two: the newer version on each line. */
export function mergeTokens(a: string, b: string): string {
  return encodeToken([...decodeToken(a), ...decodeToken(b)]);
}

/** Adds what was written to the token of a request (`ctx.meta`), beside what it has written before. */
export function addToken(meta: unknown, entries: readonly TokenEntry[]): void {
  const holder = meta as { consistencyToken?: string };
  const made = encodeToken(entries);
  try {
    holder.consistencyToken = holder.consistencyToken ? mergeTokens(holder.consistencyToken, made) : made;
  } catch {
    holder.consistencyToken = made; // what was there was no token
  }
}

function newest(entries: readonly TokenEntry[]): TokenEntry[] {
  const lines = new Map<string, TokenEntry>();
  for (const entry of entries) {
    const line = JSON.stringify(entry.slice(0, 3));
    const known = lines.get(line);
    if (!known || BigInt(known[3]) < BigInt(entry[3])) lines.set(line, entry);
  }
  return [...lines.values()];
}

function isEntry(value: unknown): value is TokenEntry {
  return (
    Array.isArray(value) &&
    value.length === 4 &&
    value.every((part) => typeof part === 'string' && part !== '') &&
    /^[1-9][0-9]{0,19}$/.test(value[3])
  );
}

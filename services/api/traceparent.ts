import { randomBytes } from 'node:crypto';

const pattern = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/**
 * The trace context for what this request causes: within the trace of the incoming header, else a new sampled one.
 * Source: W3C Trace Context, section 3.2.
 */
export function traceparentOf(header: unknown): string {
  const match = typeof header === 'string' ? pattern.exec(header) : null;
  const traceId = match?.[1] ?? '';
  const continues = match !== null && !/^0+$/.test(traceId) && !/^0+$/.test(match[2]!);
  const spanId = randomBytes(8).toString('hex');
  return continues ? `00-${traceId}-${spanId}-${match[3]}` : `00-${randomBytes(16).toString('hex')}-${spanId}-01`;
}

/** W3C Trace Context, version 00. */
const pattern = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** What is needed of a Moleculer context. */
export interface TracedContext {
  id?: string | null;
  requestID?: string | null;
  meta?: unknown;
}

/**
 * The trace that a change belongs to: `ctx.meta.traceparent` where the gateway has put a valid one, else one made from the
 * request's id and the call's id where those are UUIDs, else null.
 */
export function traceparentOf(context: TracedContext | undefined): string | null {
  if (!context) return null;
  const given = (context.meta as { traceparent?: unknown } | null | undefined)?.traceparent;
  if (typeof given === 'string' && pattern.test(given)) return given;
  const trace = context.requestID?.replaceAll('-', '').toLowerCase();
  const parent = context.id?.replaceAll('-', '').toLowerCase().slice(0, 16);
  const made = `00-${trace}-${parent}-01`;
  return pattern.test(made) ? made : null;
}

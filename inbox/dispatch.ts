import { isSkipped } from '../events/skipped.ts';
import { streamKey } from './plan.ts';
import type { InboxEvent, InboxHandler, InboxHandlers } from './types.ts';

/** One call of a handler with the events that it gets together. */
export interface HandlerCall {
  handler: InboxHandler;
  events: InboxEvent[];
}

/** The handler of a type: its own, else the one for `'*'`, else none. Nobody handles what was skipped. */
export function handlerOf(handlers: InboxHandlers, type: string): InboxHandler | undefined {
  if (isSkipped(type)) return undefined;
  return Object.hasOwn(handlers, type) ? handlers[type] : handlers['*'];
}

/**
 * Groups events into as few handler calls as keep the order of every stream: an event goes into the first call of its handler
 * that does not come before the call with the stream's previous event. `superseded` stays only where the newer event is in
 * the same call: one that another handler gets, or nobody, does not carry this one's state.
 */
export function dispatch(events: readonly InboxEvent[], handlers: InboxHandlers): HandlerCall[] {
  const calls: HandlerCall[] = [];
  const lastOf = new Map<string, { call: number; place: number }>();
  const newestOfItsCall = ({ call, place }: { call: number; place: number }) => {
    const { events: inCall } = calls[call]!;
    if (inCall[place]!.superseded) inCall[place] = { ...inCall[place]!, superseded: false };
  };
  for (const event of events) {
    const handler = handlerOf(handlers, event.type);
    if (!handler) continue;
    const key = streamKey(event);
    const last = lastOf.get(key);
    let call = last?.call ?? 0;
    while (call < calls.length && calls[call]!.handler !== handler) call++;
    if (call === calls.length) calls.push({ handler, events: [] });
    if (last && last.call !== call) newestOfItsCall(last);
    lastOf.set(key, { call, place: calls[call]!.events.push(event) - 1 });
  }
  for (const last of lastOf.values()) newestOfItsCall(last);
  return calls;
}

/** Checks the handlers once, at the start. Throws a `TypeError` that names the type and what is allowed. */
export function checkHandlers(handlers: InboxHandlers, knownTypes: ReadonlySet<string>): void {
  for (const [type, handler] of Object.entries(handlers)) {
    if (type !== '*' && !knownTypes.has(type)) {
      const known = [...knownTypes].sort().join(', ');
      throw new TypeError(`inbox: there is a handler for ${JSON.stringify(type)}; the catalogue has: ${known}.`);
    }
    const given = [handler?.handle, handler?.handleBatch].filter((method) => typeof method === 'function').length;
    if (given !== 1) {
      throw new TypeError(
        `inbox: the handler for ${type} must have exactly one of handle(tx, event) and handleBatch(tx, events).`,
      );
    }
  }
}

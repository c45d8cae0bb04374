import { describe, expect, it } from '@jest/globals';
import { checkHandlers, dispatch } from './dispatch.ts';
import { testEvent } from './testing/events.ts';
import type { InboxEvent, InboxHandler } from './types.ts';

const handler = (): InboxHandler => ({ handleBatch: async () => undefined });

function event(aggregateId: string, version: number, type: string): InboxEvent {
  return { ...testEvent(aggregateId, version, { type }), topic: 't', partition: 0, offset: 0n, superseded: false };
}

const names = (events: readonly InboxEvent[]) => events.map(({ aggregateId, version }) => `${aggregateId}.${version}`);

describe('dispatching events to handlers', () => {
  it('gives events of all types to the handler for all, in one call', () => {
    const all = handler();
    const calls = dispatch([event('1', 1, 'A'), event('1', 2, 'B'), event('2', 1, 'A')], { '*': all });
    expect(calls.map((call) => [call.handler === all, names(call.events)])).toEqual([[true, ['1.1', '1.2', '2.1']]]);
  });

  it('prefers the handler of the type and leaves types without any out', () => {
    const a = handler();
    const all = handler();
    const [first, second] = dispatch([event('1', 1, 'A'), event('2', 1, 'B')], { A: a, '*': all });
    expect([first!.handler === a, second!.handler === all]).toEqual([true, true]);
    expect(dispatch([event('2', 1, 'B')], { A: a })).toEqual([]);
  });

  it('gives skipped events to nobody, not even to the handler for all', () => {
    const calls = dispatch([event('1', 1, 'A'), event('1', 2, 'Skipped')], { '*': handler() });
    expect(calls.map((call) => names(call.events))).toEqual([['1.1']]);
  });

  it('leaves an event out as superseded only for a newer one that its handler gets in the same call', () => {
    const a = handler();
    const older = (version: number, type: string) => ({ ...event('1', version, type), superseded: true });
    const marks = (events: InboxEvent[], handlers: Record<string, InboxHandler>) =>
      dispatch(events, handlers).map((call) => call.events.map(({ superseded }) => superseded));
    expect(marks([older(1, 'A'), older(2, 'A'), event('1', 3, 'Nobody')], { A: a })).toEqual([[true, false]]);
    expect(marks([older(1, 'A'), event('1', 2, 'B')], { A: a, B: handler() })).toEqual([[false], [false]]);
    expect(marks([older(1, 'A'), event('1', 2, 'B')], { A: a, B: a })).toEqual([[true, false]]);
  });

  it('keeps the order of each stream with as few calls as that allows', () => {
    const a = handler();
    const b = handler();
    const events = [
      event('1', 1, 'A'),
      event('2', 1, 'A'),
      event('1', 2, 'B'),
      event('2', 2, 'B'),
      event('2', 3, 'A'),
      event('3', 1, 'B'),
    ];
    const calls = dispatch(events, { A: a, B: b });
    expect(calls.map((call) => [call.handler === a ? 'a' : 'b', names(call.events)])).toEqual([
      ['a', ['1.1', '2.1']],
      ['b', ['1.2', '2.2', '3.1']],
      ['a', ['2.3']],
    ]);
  });

  it('keeps every stream in order for random mixtures', () => {
    const handlers = { A: handler(), B: handler(), C: handler() };
    let seed = 42;
    const random = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return Math.floor((seed / 2147483648) * below);
    };
    for (let run = 0; run < 200; run++) {
      const next = new Map<string, number>();
      const events = Array.from({ length: 40 }, () => {
        const id = String(1 + random(5));
        next.set(id, (next.get(id) ?? 0) + 1);
        return event(id, next.get(id)!, ['A', 'B', 'C', 'D'][random(4)]!);
      });
      const got = dispatch(events, handlers).flatMap((call) => {
        for (const each of call.events) expect(handlers[each.type as 'A']).toBe(call.handler);
        return call.events;
      });
      expect(got).toHaveLength(events.filter(({ type }) => type !== 'D').length);
      for (const id of next.keys()) {
        const order = got.filter(({ aggregateId }) => aggregateId === id).map(({ version }) => Number(version));
        expect(order).toEqual(order.toSorted((x, y) => x - y));
      }
    }
  });

  it('refuses a handler for an unknown type, or with none or both of the two methods', () => {
    const known = new Set(['A']);
    expect(() => checkHandlers({ B: handler() }, known)).toThrow(/"B"; the catalogue has: A/);
    expect(() => checkHandlers({ A: {} }, known)).toThrow(/exactly one of/);
    expect(() => checkHandlers({ A: { ...handler(), handle: async () => undefined } }, known)).toThrow(/exactly one/);
    checkHandlers({ A: handler(), '*': handler() }, known);
  });
});

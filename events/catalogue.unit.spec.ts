import { describe, expect, it } from '@jest/globals';
import { Type } from '@sinclair/typebox';
import { boardEvents, boardSources } from './board.ts';
import { createCatalogue } from './catalogue.ts';
import { defineEvent } from './definition.ts';

const paid = (schemaVersion: number) =>
  defineEvent({
    type: 'OrderPaid',
    schemaVersion,
    source: 'order',
    aggregateType: 'order',
    payload: Type.Object({ cents: Type.Integer({ minimum: 0 }) }),
  });

describe('a catalogue of events', () => {
  it('finds the newest version of a type, or the one that is asked for', () => {
    const [first, second] = [paid(1), paid(2)];
    const catalogue = createCatalogue([second, first]);
    expect(catalogue.find('OrderPaid')).toBe(second);
    expect(catalogue.find('OrderPaid', 1)).toBe(first);
    expect(catalogue.find('OrderPaid', 3)).toBeUndefined();
    expect(catalogue.find('OrderLost')).toBeUndefined();
  });

  it('says what is wrong with a payload, and lets fields pass that it does not know', () => {
    const definition = paid(1);
    const catalogue = createCatalogue([definition]);
    expect(catalogue.check(definition, { cents: 5, note: 'new' })).toBeNull();
    expect(catalogue.check(definition, { cents: -1 })).toBe('cents must be >= 0');
    expect(catalogue.check(definition, 'text')).toBe('payload must be object');
  });

  it('refuses one event twice, and to check one that is not in it', () => {
    expect(() => createCatalogue([paid(1), paid(1)])).toThrow('The event OrderPaid v1 is in the catalogue twice.');
    expect(() => createCatalogue([]).check(paid(1), {})).toThrow('The event OrderPaid is not in this catalogue.');
  });

  it('has Skipped in it from the start, outside its definitions, and lets nobody else have the name', () => {
    const catalogue = createCatalogue([paid(1)]);
    const skipped = catalogue.find('Skipped', 1)!;
    expect(catalogue.check(skipped, { skippedEventId: null, skippedType: 'OrderPaid', reason: 'wrong' })).toBeNull();
    expect(catalogue.definitions).toHaveLength(1);
    expect(() => createCatalogue([{ ...paid(2), type: 'Skipped' }])).toThrow('is in every catalogue already');
  });

  it('names the event whose payload is no valid schema, when it is prepared', () => {
    const wrong = { ...paid(1), payload: { type: 'object', properties: { cents: { type: 'money' } } } as never };
    const catalogue = createCatalogue([wrong]);
    expect(() => catalogue.prepare(catalogue.definitions)).toThrow(
      /^The payload of the event OrderPaid v1 is no valid JSON Schema: .*properties\/cents\/type/,
    );
  });

  it('has only schemas that compile on the board, and only of its four producers', () => {
    for (const definition of boardEvents.definitions) {
      expect(boardEvents.check(definition, {})).toContain('must have required property');
      expect(boardSources).toContain(definition.source);
    }
  });
});

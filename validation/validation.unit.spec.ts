import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Type } from '@sinclair/typebox';
import moleculer from 'moleculer';
import { actionParams, Id64, ReadableText } from './fields.ts';
import { compileSchema } from './schemas.ts';
import { JsonSchemaValidator } from './validator.ts';

const { ServiceBroker } = moleculer;

describe('problems of parameters', () => {
  const check = compileSchema(
    Type.Object({
      id: Id64,
      title: ReadableText(5),
      page: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
      roles: Type.Optional(Type.Array(Type.String({ maxLength: 4 }), { maxItems: 2 })),
      inner: Type.Optional(Type.Object({ a: Type.Boolean() })),
    }),
  );

  it('finds none where everything fits', () => {
    expect(
      check({ id: '9223372036854775807', title: 'a 😀😀b', page: 1, roles: ['x'], inner: { a: true } }),
    ).toBeNull();
  });

  it('names each field, what is wrong with its value and what is allowed', () => {
    expect(check({ id: 'abc', page: 0, colour: 'red' })).toEqual([
      { field: 'title', problem: 'is missing', allowed: expect.stringContaining('1 to 5 characters') },
      { field: 'colour', problem: 'is no known field', allowed: 'id, title, page, roles, inner' },
      { field: 'id', problem: 'is "abc"', allowed: expect.stringContaining('64-bit id') },
      { field: 'page', problem: 'is the number 0', allowed: 'a whole number from 1 to 100' },
    ]);
  });

  it('refuses ids that are numbers, not positive or above 2^63 - 1', () => {
    for (const id of [1, '0', '-1', '01', '1.0', '9223372036854775808', '99999999999999999999', '', null]) {
      expect(check({ id, title: 'a' })).toMatchObject([{ field: 'id' }]);
    }
  });

  it('refuses text that is too long, blank or broken Unicode, and does not repeat long text', () => {
    for (const title of ['', '      ', '\ud800', 'abcdef']) {
      expect(check({ id: '1', title })).toMatchObject([{ field: 'title' }]);
    }
    expect(check({ id: '1', title: 'x'.repeat(1000) })).toMatchObject([{ problem: 'is text of 1000 characters' }]);
  });

  it('looks into lists and objects, and refuses unknown fields there too', () => {
    expect(check({ id: '1', title: 'a', roles: ['admin'] })).toMatchObject([{ field: 'roles.0' }]);
    expect(check({ id: '1', title: 'a', inner: { a: true, b: 1 } })).toMatchObject([{ field: 'inner.b' }]);
  });

  it('is not fooled by names of the prototype', () => {
    expect(check(JSON.parse('{"id":"1","title":"a","__proto__":{"x":1}}'))).toMatchObject([{ field: '__proto__' }]);
  });
});

describe('a broker with the validator', () => {
  const broker = new ServiceBroker({ logger: false, validator: new JsonSchemaValidator() });
  broker.createService({
    name: 'shop',
    actions: {
      buy: { params: actionParams({ id: Id64 }), handler: () => 'bought' },
      mixed: { params: { count: { type: 'number', min: 1 } }, handler: () => 'counted' },
    },
    events: { 'shop.closed': { params: actionParams({ id: Id64 }), handler() {} } },
  });
  beforeAll(() => broker.start());
  afterAll(() => broker.stop());

  it('lets right parameters pass', async () => {
    await expect(broker.call('shop.buy', { id: '5' })).resolves.toBe('bought');
  });

  it('rejects wrong ones with code 400, VALIDATION_ERROR and the problems', async () => {
    await expect(broker.call('shop.buy', { id: 5, more: 1 })).rejects.toMatchObject({
      code: 400,
      type: 'VALIDATION_ERROR',
      retryable: false,
      message: expect.stringContaining('more is no known field; allowed: id.'),
      data: [{ field: 'more' }, { field: 'id', problem: 'is the number 5' }],
    });
    await expect(broker.call('shop.buy')).rejects.toMatchObject({ code: 400 });
  });

  it('still checks rules in the format of Moleculer itself', async () => {
    await expect(broker.call('shop.mixed', { count: 2 })).resolves.toBe('counted');
    await expect(broker.call('shop.mixed', { count: 0 })).rejects.toMatchObject({
      type: 'VALIDATION_ERROR',
      data: [{ field: 'count', allowed: '1' }],
    });
    await expect(broker.call('$node.services', { onlyLocal: 'perhaps' })).rejects.toMatchObject({ code: 400 });
    await expect(broker.call('$node.services', { onlyLocal: true })).resolves.toHaveLength(2);
  });

  it('refuses a service whose schema is itself wrong when it is created', () => {
    expect(() =>
      broker.createService({
        name: 'broken',
        actions: { go: { params: actionParams({ a: { type: 'strin' } as never }), handler() {} } },
      }),
    ).toThrow('The params of broken.go are no valid schema');
  });
});

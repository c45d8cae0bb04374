import type { Model, Transaction } from 'sequelize';
import { OutboxError } from './errors.ts';
import type { OutboxTransaction } from './scope.ts';
import type { Outbox } from './transaction.ts';

/** The event of one kind of change of a row. */
export interface ModelEvent<Row = Model> {
  type: string;
  /** Default: the row's primary key. */
  aggregateId?(row: Row): string | number | bigint;
  /** Runs right before the commit, like `build` of `tx.publish`. Default: the row's values at the time of the change. */
  payload?(row: Row, tx: OutboxTransaction): unknown;
}

/** Which events a model's changes publish: `{ create: 'ArticleCreated', update: { type: …, payload: … } }`. */
// biome-ignore lint/suspicious/noExplicitAny: a row of whatever model; the service knows its type
export type ModelEvents<Row = any> = Partial<Record<Change, string | ModelEvent<Row>>>;

export type Change = 'create' | 'update' | 'destroy';

interface ModelClass {
  name: string;
  primaryKeyAttribute: string;
  prototype: object;
  addHook(name: string, hook: (row: Row, options: WriteOptions) => Promise<void>): void;
  findByPk(id: unknown, options: object): Promise<unknown>;
}

interface Row {
  get(options: { plain: true }): Record<string, unknown>;
  get(attribute: string): unknown;
}

interface WriteOptions {
  hooks?: boolean;
  transaction?: Transaction | null;
  individualHooks?: boolean;
  ignoreDuplicates?: boolean;
  updateOnDuplicate?: unknown;
}

const hookNames = { create: 'Create', update: 'Update', destroy: 'Destroy' } as const;

/**
 * Makes models publish on create, update and destroy, by Sequelize's hooks; also on `bulkCreate` with individual hooks. In
 * a transaction of the outbox the events wait for the commit; in one of somebody else's they are written at once.
 *
 * Calls that would change rows past those hooks throw `WRITE_WITHOUT_EVENT`, with what to write instead, before anything is
 * sent: without a transaction, with `hooks: false`, bulk update and destroy, increment, decrement, upsert, restore. An update or
 * destroy locks its row first and throws `ROW_GONE` where it no longer exists, since Sequelize would not tell. Statements
 * written by hand are not seen.
 */
export function publishModels(
  outbox: Outbox,
  models: Readonly<Record<string, unknown>>,
  publishes: Readonly<Record<string, ModelEvents>>,
): void {
  for (const [name, events] of Object.entries(publishes)) {
    const model = models[name] as ModelClass | undefined;
    if (!model) {
      throw new Error(`"publishes" names the model "${name}"; there are: ${Object.keys(models).join(', ') || 'none'}.`);
    }
    publishModel(outbox, name, model, events);
  }
}

function publishModel(outbox: Outbox, name: string, model: ModelClass, events: ModelEvents): void {
  for (const change of ['create', 'update', 'destroy'] as const) {
    const declared = events[change];
    if (!declared) continue;
    const event: ModelEvent<Row> = typeof declared === 'string' ? { type: declared } : declared;
    outbox.checkType(event.type);
    model.addHook(`before${hookNames[change]}`, async (row, { transaction }) => {
      if (!transaction) throw refusal(`${name}.${change}() without a transaction`, event.type, withTransaction);
      if (change !== 'create') await lockRow(name, model, row, transaction);
    });
    model.addHook(`after${hookNames[change]}`, async (row, { transaction }) => {
      const values = event.payload ? undefined : row.get({ plain: true });
      const payload = (tx: OutboxTransaction) => (event.payload ? event.payload(row, tx) : values);
      const aggregateId = event.aggregateId?.(row) ?? (row.get(model.primaryKeyAttribute) as string);
      await outbox.publish({ type: event.type, aggregateId, payload }, { transaction });
    });
  }
  refuseBypasses(name, model, events);
}

const withTransaction = 'give it { transaction: tx.transaction } inside "await this.transaction(async (tx) => { … })"';
const oneByOne = (call: string) =>
  `write "for (const row of await Model.findAll({ where, transaction, lock: true })) await row.${call}"`;

function refuseBypasses(name: string, model: ModelClass, events: ModelEvents): void {
  const typeOf = (change: Change) => {
    const event = events[change];
    return typeof event === 'string' ? event : event?.type;
  };
  const statics = model as unknown as Record<string, (...args: unknown[]) => unknown>;
  const instance = model.prototype as typeof statics;
  const forbid = (type: string | undefined, methods: string[], instead: string) => {
    if (!type) return;
    for (const method of methods) {
      statics[method] = async () => {
        throw refusal(`${name}.${method}()`, type, instead);
      };
    }
  };
  forbid(typeOf('update'), ['update', 'restore'], oneByOne('update(values, { transaction })'));
  const current = 'write "const row = await Model.findByPk(id, { transaction, lock: true }); await row.update(…)"';
  forbid(typeOf('update'), ['increment', 'decrement'], current);
  forbid(typeOf('destroy'), ['destroy'], oneByOne('destroy({ transaction })'));
  forbid(
    typeOf('create') ?? typeOf('update'),
    ['upsert'],
    'find the row with a lock, then create or update it: only so it is known which of the two happened',
  );

  const created = typeOf('create');
  const bulkCreate = statics.bulkCreate!;
  statics.bulkCreate = async (rows, options) => {
    const { individualHooks, ignoreDuplicates, updateOnDuplicate } = (options ?? {}) as WriteOptions;
    if (created && (!individualHooks || ignoreDuplicates || updateOnDuplicate)) {
      const instead = 'add { individualHooks: true }, without ignoreDuplicates and updateOnDuplicate';
      throw refusal(`${name}.bulkCreate()`, created, instead);
    }
    return bulkCreate.call(model, rows, options);
  };
  // `create` and `update` of a row end in `save`.
  for (const method of ['save', 'destroy'] as const) {
    const original = instance[method]!;
    instance[method] = async function (this: { isNewRecord?: boolean }, options: unknown, ...rest: unknown[]) {
      const change = method === 'destroy' ? 'destroy' : this.isNewRecord ? 'create' : 'update';
      const type = typeOf(change);
      if (type && (options as WriteOptions | undefined)?.hooks === false) {
        throw refusal(`${name}.${change}() with hooks: false`, type, 'leave the hooks on');
      }
      return original.call(this, options, ...rest);
    } as (typeof statics)[string];
  }
}

async function lockRow(name: string, model: ModelClass, row: Row, transaction: Transaction): Promise<void> {
  const key = model.primaryKeyAttribute;
  const id = row.get(key);
  const found = await model.findByPk(id, { attributes: [key], raw: true, transaction, lock: true });
  if (!found) throw new OutboxError('ROW_GONE', `${name} ${id} no longer exists: somebody else has deleted it.`);
}

function refusal(call: string, type: string, instead: string): OutboxError {
  return new OutboxError(
    'WRITE_WITHOUT_EVENT',
    `${call} would change rows without their event ${type}, so it is refused: ${instead}.`,
  );
}

import type { ServiceSchema } from 'moleculer';
import moleculerDb from 'moleculer-db';
import SequelizeAdapter from 'moleculer-db-adapter-sequelize';
import type { DatabaseService } from './database.ts';

export interface ReadModelMixinOptions {
  /** Name of one of the `models` that `DatabaseMixin` defines. */
  model: string;
  /** The entity's id. Default `id`. */
  idField?: string;
  /** Columns that may be read, and asked for by `fields`. Default: all of the model's. */
  fields?: string[];
}

/**
 * moleculer-db for reading: its methods `_get`, `_find`, `_list` and `_count` (paging, sorting, choice of fields) on a model of
 * `DatabaseMixin`, which the same service must have.
 *
 * It adds no actions. moleculer-db's own `create`, `insert`, `update` and `remove` would write without an event, and its
 * `find`, `list` and `count` take a raw `query` from whoever calls: write actions with strict parameters of their own, e.g.
 *
 *     async handler(ctx) { return this._get(ctx, { id: ctx.params.id, fields: ['id', 'title'] }); }
 *
 * The connection stays `DatabaseMixin`'s: nothing is synced, opened or closed here. The method `clearCache()` clears this
 * service's entries in the cacher directly, without the broadcast that would need Kafka; call it in `tx.afterCommit`.
 */
export function ReadModelMixin(options: ReadModelMixinOptions): Partial<ServiceSchema> {
  // Without its actions. They cannot be switched off later: `false` would have to come from each service.
  const { settings, methods, metadata } = moleculerDb as unknown as ServiceSchema<object>;
  const { connect: _, disconnect: __, ...readers } = methods as Record<string, () => unknown>;

  interface Instance extends DatabaseService<Record<string, unknown>> {
    adapter: ReadAdapter;
  }

  const schema: Partial<ServiceSchema<unknown, object, object, Instance>> = {
    metadata,
    settings: { ...settings, idField: options.idField ?? 'id', fields: options.fields ?? null },
    methods: {
      ...readers,
      ...refusals,
      /** Clears this service's entries in the cacher: in Redis for all nodes, in memory for this one. */
      async clearCache(this: Instance) {
        await this.broker.cacher?.clean(`${this.fullName}.**`);
      },
    },
    created(this: Instance) {
      this.adapter = new ReadAdapter();
      this.adapter.broker = this.broker;
      this.adapter.service = this;
    },
    async started(this: Instance) {
      const model = this.models?.[options.model];
      if (!model) {
        const known = Object.keys(this.models ?? {}).join(', ') || 'none';
        throw new Error(`ReadModelMixin: ${this.fullName} has no model "${options.model}"; it has: ${known}.`);
      }
      this.adapter.db = this.sequelize;
      this.adapter.model = model;
    },
  };
  return schema as Partial<ServiceSchema>;
}

/** The adapter's reading half, on a model that is there already. */
class ReadAdapter extends (SequelizeAdapter as unknown as new () => ReadAdapterBase) {
  override insert = refuse('insert');
  override insertMany = refuse('insertMany');
  override updateMany = refuse('updateMany');
  override updateById = refuse('updateById');
  override removeMany = refuse('removeMany');
  override removeById = refuse('removeById');
  override clear = refuse('clear');
}

interface ReadAdapterBase {
  broker: unknown;
  service: unknown;
  db: unknown;
  model: unknown;
  insert: () => never;
  insertMany: () => never;
  updateMany: () => never;
  updateById: () => never;
  removeMany: () => never;
  removeById: () => never;
  clear: () => never;
}

const writers = ['_create', '_insert', '_update', '_remove'] as const;
const refusals = Object.fromEntries(writers.map((name) => [name, refuse(name)]));

function refuse(name: string): () => never {
  return () => {
    throw new Error(
      `${name} would write without an event: write "await this.transaction(async (tx) => { … }, { ctx })" on the model.`,
    );
  };
}

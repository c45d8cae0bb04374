import moleculer, { type Context, type ServiceSchema } from 'moleculer';
import type { Sequelize, Transaction } from 'sequelize';
import { loadConfig } from '../config/load.ts';
import { verifyDatabase } from '../database/verify.ts';
import type { Catalogue } from '../events/catalogue.ts';
import { idempotencyMigrations } from '../migrations/idempotency/index.ts';
import { outboxMigrations } from '../migrations/outbox/index.ts';
import { forCallers } from '../outbox/for-callers.ts';
import { answerGap, type MissingVersion, type OutboxGapAnswer } from '../outbox/gap.ts';
import { Idempotency, type IdempotentCall } from '../outbox/idempotency/idempotency.ts';
import { oldestUnsentAgeMs } from '../outbox/lag.ts';
import { type OutboxMeta, readOutboxMeta } from '../outbox/meta.ts';
import { moleculerMetrics } from '../outbox/metrics.ts';
import { type ModelEvents, publishModels } from '../outbox/models.ts';
import { Nudger } from '../outbox/nudge.ts';
import type { OutboxTransaction, PayloadBuilder } from '../outbox/scope.ts';
import { Outbox } from '../outbox/transaction.ts';
import type { DatabaseChecks, DatabaseService } from './database.ts';

export type { OutboxTransaction, PayloadBuilder } from '../outbox/scope.ts';

export interface OutboxMixinOptions {
  /** The producing service: CloudEvents source, last part of the topic, name of the relay's source. */
  source: string;
  /** What may be published: the definitions of this source. */
  catalogue: Catalogue;
  /** What the database must have been made with. Default: `HOTBOARD_BUCKETS` where it is set, else whatever the database says. */
  buckets?: number;
  /** Models of `DatabaseMixin` that publish by themselves on create, update and destroy: see `publishModels`. */
  publishes?: Readonly<Record<string, ModelEvents>>;
  /** Payload and headers of an event at most. Default 900 KiB: the broker's own limit is 1 MiB. */
  maxEventBytes?: number;
  /** How long a transaction is taken again after deadlocks and the like. Default 5,000. */
  retryForMs?: number;
  /**
   * For `idempotency` in `transaction`: the database then needs the migration set `idempotency`. `keepHours`: how long keys and
   * their answers are remembered (they are purged within a minute after). Default: `HOTBOARD_IDEMPOTENCY_KEEP_HOURS`, else 24.
   */
  idempotency?: { keepHours?: number };
}

/** Makes a transaction take effect once for each key. */
export interface TransactionKey {
  /** Whose key it is, e.g. the user's id: the keys of others are others. */
  caller: string;
  /** The client's key. Default: `ctx.meta.idempotencyKey`, where a gateway puts it; without one the call is an ordinary one. */
  key?: string;
  /** What it is a key for. Default: the action's name. */
  scope?: string;
  /** What has to be the same in a repeated call. Default: `ctx.params`. */
  request?: unknown;
}

export interface TransactionOptions {
  ctx?: Context;
  /**
   * Keeps the answer under the client's key, in the same transaction, and repeats it (through JSON) for the same request: see
   * `Idempotency.transaction`. Needs the mixin's option `idempotency`. Errors: `IDEMPOTENCY_KEY_IN_USE` (409, retryable),
   * `IDEMPOTENCY_KEY_REUSED` (422), `IDEMPOTENCY_KEY_INVALID` (400).
   */
  idempotency?: TransactionKey;
  /** Runs before the transaction, unless its answer is known: asks whatever else must be true. */
  check?(): Promise<unknown>;
}

/** What the mixin gives to `this` of a service, beside what `DatabaseMixin` gives. */
export interface OutboxService<Models = unknown> extends DatabaseService<Models> {
  /** See `Outbox.transaction`. Errors are Moleculer errors (see `forCallers`), but for those that `work` throws itself. */
  transaction<Result>(
    work: (tx: OutboxTransaction) => Promise<Result> | Result,
    options?: TransactionOptions,
  ): Promise<Result>;
  /** See `Outbox.publish`: in a transaction that somebody else has opened, or in the one that is running. */
  publish(
    event: { type: string; aggregateId: string | number | bigint; payload: unknown | PayloadBuilder },
    options?: { transaction?: Transaction | null; ctx?: Context },
  ): Promise<void>;
  outboxMeta(): Promise<OutboxMeta>;
}

const purgeEveryMs = 60_000;

/** The payload of the broadcast `outbox.nudge`: buckets of a source that have unsent rows. */
export interface OutboxNudge {
  source: string;
  buckets: number[];
}

/**
 * Lets a service write its changes and their events in one transaction. Needs `DatabaseMixin` on the same service (in any
 * order) and the migration set `outbox` on its database.
 *
 *     const article = await this.transaction(async (tx) => {
 *       const row = await this.models.Article.create({ … }, { transaction: tx.transaction });
 *       tx.publish('ArticleCreated', row.id, async (tx) => ({ …, boardArticleCount: await count(tx.transaction) }));
 *       return row;
 *     }, { ctx });
 *
 * Methods: `transaction`, `publish`, `outboxMeta`. Actions: `<service>.outboxLag`, `<service>.outboxGap`. Event sent: broadcast `outbox.nudge`
 * (`OutboxNudge`) after a commit, as a hint to the relay.
 */
export function OutboxMixin(options: OutboxMixinOptions): Partial<ServiceSchema> {
  interface Instance extends OutboxService, DatabaseChecks {
    outbox: Outbox;
    outboxIdempotency: Idempotency;
    outboxPurgeTimer?: NodeJS.Timeout;
    outboxNudger: Nudger;
    outboxKnownMeta?: OutboxMeta;
  }

  const expectedBuckets = () =>
    options.buckets ?? (process.env.HOTBOARD_BUCKETS ? loadConfig(process.env).buckets : undefined);

  const keepHours = () =>
    options.idempotency?.keepHours ??
    (process.env.HOTBOARD_IDEMPOTENCY_KEEP_HOURS ? loadConfig(process.env).idempotencyKeepHours : 24);

  /** Made at the first use: `this.sequelize` is there by then, whatever the order of the mixins. */
  const outboxOf = (service: Instance): Outbox => {
    if (service.outbox) return service.outbox;
    if (!service.sequelize) {
      throw new moleculer.Errors.ServiceSchemaError(`OutboxMixin needs DatabaseMixin on ${service.fullName}.`, {});
    }
    service.outbox = new Outbox({
      ...options,
      sequelize: service.sequelize,
      buckets: async () => (await service.outboxMeta()).buckets,
      nudge: (buckets) => service.outboxNudger.nudge(buckets),
      logger: service.logger,
      metrics: moleculerMetrics(service.broker, options.source),
    });
    service.outboxIdempotency = new Idempotency({
      outbox: service.outbox,
      sequelize: service.sequelize,
      keepMs: keepHours() * 3_600_000,
    });
    publishModels(service.outbox, (service.models ?? {}) as Record<string, unknown>, options.publishes ?? {});
    return service.outbox;
  };

  const schema: Partial<ServiceSchema<unknown, object, object, Instance>> = {
    actions: {
      /**
       * Answers `{ oldestUnsentAgeMs: number }`: the age of the oldest event that is not yet in Kafka, 0 where all are.
       * Events of dead keys do not count: they wait for an operator, not for the relay.
       */
      outboxLag: {
        async handler(this: Instance) {
          await this.databaseReady().catch((error) => {
            throw forCallers(error);
          });
          return { oldestUnsentAgeMs: await oldestUnsentAgeMs(this.sequelize) };
        },
      },
      /**
       * `{ aggregateType, aggregateId, version, incarnation }`: what has become of a version that a consumer misses →
       * `OutboxGapAnswer`. For `askOutbox` of a sequence inbox. Errors: `VALIDATION_ERROR` (422), and of the database.
       */
      outboxGap: {
        async handler(this: Instance, ctx): Promise<OutboxGapAnswer> {
          const missing = missingVersion(ctx.params);
          try {
            const { incarnation } = await this.outboxMeta();
            return await answerGap(this.sequelize, { source: options.source, incarnation }, missing);
          } catch (error) {
            throw forCallers(error);
          }
        },
      },
    },

    methods: {
      async transaction(this: Instance, work, { ctx, idempotency, check }: TransactionOptions = {}) {
        try {
          const outbox = outboxOf(this);
          const call = idempotency && idempotentCall(idempotency, ctx);
          if (!call) {
            await check?.();
            return await outbox.transaction(work, ctx);
          }
          if (!options.idempotency) throw notSetUp(this.fullName);
          await this.databaseReady();
          return await this.outboxIdempotency.transaction(call, work, { context: ctx, check });
        } catch (error) {
          throw forCallers(error);
        }
      },
      async publish(this: Instance, event, given: { transaction?: Transaction | null; ctx?: Context } = {}) {
        try {
          await outboxOf(this).publish(event, { transaction: given.transaction, context: given.ctx });
        } catch (error) {
          throw forCallers(error);
        }
      },
      async outboxMeta(this: Instance): Promise<OutboxMeta> {
        if (!this.outboxKnownMeta) await this.databaseReady();
        return this.outboxKnownMeta!;
      },
    },

    created(this: Instance) {
      options.catalogue.prepare(options.catalogue.definitions.filter(({ source }) => source === options.source));
      this.outboxNudger = new Nudger({
        send: (buckets) => {
          const { broker } = this;
          const nudge: OutboxNudge = { source: options.source, buckets };
          // Where the transporter is away, Moleculer would only log an error for each node; relays look by themselves, too.
          return broker.transit?.connected === false
            ? broker.broadcastLocal('outbox.nudge', nudge)
            : broker.broadcast('outbox.nudge', nudge);
        },
      });
      this.databaseChecks = [
        ...(this.databaseChecks ?? []),
        async (sequelize: Sequelize) => {
          await verifyDatabase(
            sequelize,
            options.idempotency ? [outboxMigrations, idempotencyMigrations] : [outboxMigrations],
          );
          this.outboxKnownMeta = await readOutboxMeta(sequelize, expectedBuckets());
        },
      ];
    },

    started(this: Instance) {
      outboxOf(this);
      if (!options.idempotency) return;
      const purge = () =>
        this.outboxIdempotency
          .purge()
          .catch((error) => this.logger.warn('Old idempotency keys are still there.', error));
      this.outboxPurgeTimer = setInterval(purge, purgeEveryMs).unref();
    },

    stopped(this: Instance) {
      clearInterval(this.outboxPurgeTimer);
      this.outboxNudger.stop();
    },
  };
  return schema as Partial<ServiceSchema>;
}

function missingVersion(params: unknown): MissingVersion {
  const given = (params ?? {}) as Record<string, unknown>;
  const text = (name: string, pattern: RegExp): string => {
    const value = given[name];
    if (typeof value === 'string' && pattern.test(value)) return value;
    throw new moleculer.Errors.ValidationError(`${name} is missing or not like ${pattern}`, 'VALIDATION_ERROR', {
      name,
    });
  };
  return {
    aggregateType: text('aggregateType', /^.{1,64}$/s),
    aggregateId: text('aggregateId', /^.{1,255}$/s),
    version: BigInt(text('version', /^[0-9]{1,20}$/)),
    incarnation: text('incarnation', /^.{1,36}$/),
  };
}

/** Null where the client sent no key. */
function idempotentCall(given: TransactionKey, ctx: Context | undefined): IdempotentCall | null {
  const key = given.key ?? (ctx?.meta as { idempotencyKey?: string } | undefined)?.idempotencyKey;
  if (key === undefined) return null;
  return {
    key,
    caller: given.caller,
    scope: given.scope ?? ctx?.action?.name ?? '',
    request: given.request ?? ctx?.params,
  };
}

function notSetUp(service: string): Error {
  return new moleculer.Errors.ServiceSchemaError(
    `${service} gives "idempotency" to transaction(): give it to OutboxMixin too, and run the migrations "idempotency".`,
    {},
  );
}

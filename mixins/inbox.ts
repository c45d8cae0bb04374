import moleculer, { type Service, type ServiceSchema } from 'moleculer';
import { databaseUrl } from '../config/database-url.ts';
import { type Config, loadConfig, required } from '../config/load.ts';
import { verifyDatabase } from '../database/verify.ts';
import type { Catalogue } from '../events/catalogue.ts';
import type { Database } from '../inbox/database/database.ts';
import { openPool } from '../inbox/database/pool.ts';
import { onSequelize } from '../inbox/database/sequelize.ts';
import { type GapAnswer, NoGapError } from '../inbox/gaps/answer.ts';
import { createInbox, type Inbox } from '../inbox/inbox.ts';
import { moleculerMetrics } from '../inbox/moleculer-metrics.ts';
import type { Stream } from '../inbox/plan.ts';
import { type InboxRetention, usualRetention } from '../inbox/retention/settings.ts';
import type { InboxStatus } from '../inbox/status.ts';
import { mysqlStore } from '../inbox/store/mysql.ts';
import type { Gap } from '../inbox/store/store.ts';
import type { InboxEvent, InboxHandler, InboxHandlers, InboxMode } from '../inbox/types.ts';
import { kafkaConnectionOf } from '../kafka/connection.ts';
import { createPlatformaticPort } from '../kafka/platformatic/platformatic-port.ts';
import type { KafkaPort } from '../kafka/port.ts';
import { inboxMigrations } from '../migrations/inbox/index.ts';
import type { ReadinessCheck } from '../telemetry/readiness.ts';
import type { DatabaseChecks, DatabaseService } from './database.ts';
import { deadLetterActions } from './dead-letter-actions.ts';

export type { GapAnswer } from '../inbox/gaps/answer.ts';
export type { InboxStatus } from '../inbox/status.ts';
export type { InboxEvent, InboxHandler, InboxMode, InboxTransaction } from '../inbox/types.ts';

const { MoleculerClientError, ValidationError } = moleculer.Errors;

const dayMs = 24 * 60 * 60 * 1000;

export interface InboxMixinOptions {
  /** The consumer's name: what its inbox rows, watermarks and offsets belong to. The Kafka group is `<topicPrefix>.<group>`. */
  group: string;
  mode: InboxMode;
  topics: readonly string[] | ((config: Config) => readonly string[]);
  catalogue: Catalogue;
  /** Name of the service's database: `<databasePrefix><database>`, `-` as `_`. It has the migration sets `inbox` and its own. */
  database: string;
  /** By event type; `'*'` for all types without one of their own. `this` is the Moleculer service. */
  handlers: Record<string, InboxHandler & ThisType<Service>>;
  /** After the commit and before the next batch of the same partition. `this` is the service. Errors are logged only. */
  afterCommit?(this: Service, events: readonly InboxEvent[]): Promise<unknown> | unknown;
  /** Transactions on the service's Sequelize (`tx.transaction` for models) in place of a mysql2 pool of the inbox's own. */
  sequelize?: boolean;
  /** Where the streams of a new `sequence` inbox begin. `first-seen`: at the first version that comes. Default `first-version`. */
  baseline?: 'first-version' | 'first-seen';
  /** Asks a producer for an event that a `sequence` inbox misses. Without it a gap is an alarm and waits for `inboxResume`. */
  askProducer?(this: Service, gap: Gap): Promise<GapAnswer>;
  /**
   * How long what is kept; checked at the start against the topics' own settings. Default: HOTBOARD_INBOX_ID_DAYS and
   * HOTBOARD_INBOX_REPLAY_DAYS, HOTBOARD_INBOX_ENDLESS_TOPICS, and see `InboxRetention`.
   */
  retention?: Partial<InboxRetention>;
  /** Partitions worked on at once. Default 4. */
  concurrency?: number;
  /** Events in one transaction at most. Default 1,000. */
  batchSize?: number;
  /** Default: `loadConfig(process.env)`. */
  config?: Config;
  /** Default: @platformatic/kafka with the configuration's brokers. */
  kafka?: (service: Service) => KafkaPort;
}

/** What the mixin gives to `this` of a service. */
export interface InboxService extends Service {
  /** What the consumer is doing and how far it is behind. */
  inboxStatus(): InboxStatus;
  inboxReadiness(): ReadinessCheck;
  readiness(): ReadinessCheck[];
}

/**
 * Makes a service a consumer: each event takes effect exactly once, in the order of its stream. The start waits for neither
 * Kafka nor MySQL.
 *
 *     mixins: [InboxMixin({
 *       group: 'hot-article', mode: 'state', database: 'hot-article', catalogue: boardEvents,
 *       topics: (config) => [`${config.topicPrefix}.like`],
 *       handlers: { ArticleLiked: { async handleBatch(tx, events) { await tx.write('INSERT …', […]); } } },
 *     })]
 *
 * Methods: `inboxStatus()`, `inboxReadiness()` and `readiness()` (a service with a `readiness` of its own adds
 * `inboxReadiness()` to it). Actions: `<service>.inboxStatus`, the same as JSON (`InboxStatus`), `<service>.inboxResume`, and
 * `<service>.deadLetters.list | show | replay | edit | discard` (see `DeadLetters`). The start fails with `InboxConfigError`
 * where a topic keeps messages for longer than the inbox keeps their ids, and with `InboxModeError` where the mode was changed.
 */
export function InboxMixin(options: InboxMixinOptions): Partial<ServiceSchema> {
  interface Instance extends InboxService, DatabaseService, DatabaseChecks {
    inbox?: Inbox;
    inboxDatabase?: Database;
    databaseReadiness?(): ReadinessCheck;
  }

  const schema: Partial<ServiceSchema<unknown, object, object, Instance>> = {
    actions: {
      ...deadLetterActions((service: Instance) => service.inbox!.deadLetters),
      /** Answers `InboxStatus`. */
      inboxStatus: {
        handler(this: Instance) {
          return this.inboxStatus();
        },
      },
      /**
       * `{ source, aggregateType, aggregateId, version, reason }`: a stream of a `sequence` inbox that waits for a missing
       * event goes on as if everything through `version` had been applied. Errors: `VALIDATION_ERROR` (422), `INBOX_NO_GAP` (404).
       */
      inboxResume: {
        async handler(this: Instance, ctx) {
          const { stream, version, reason } = resumeParams(ctx.params);
          try {
            await this.inbox!.resume(stream, version, reason);
          } catch (error) {
            if (!(error instanceof NoGapError)) throw error;
            throw new MoleculerClientError(error.message, 404, error.code);
          }
        },
      },
    },

    methods: {
      inboxStatus(this: Instance): InboxStatus {
        if (!this.inbox) throw new Error(`The inbox ${options.group} has not started yet.`);
        return this.inbox.status();
      },
      inboxReadiness(this: Instance): ReadinessCheck {
        const name = `inbox ${options.group}`;
        if (!this.inbox) return { name, ready: false, detail: 'not started' };
        const { consumer, refused, retentionRefused } = this.inbox.status();
        const runs = consumer.state === 'running' || consumer.state === 'rejoining';
        const ready = runs && refused === null && retentionRefused === null;
        const detail = refused ?? retentionRefused ?? consumer.lastError?.message ?? consumer.state;
        return { name, ready, ...(ready ? {} : { detail }) };
      },
      readiness(this: Instance): ReadinessCheck[] {
        return [...(this.databaseReadiness ? [this.databaseReadiness()] : []), this.inboxReadiness()];
      },
    },

    created(this: Instance) {
      this.databaseChecks = [
        ...(this.databaseChecks ?? []),
        (sequelize) => verifyDatabase(sequelize, [inboxMigrations]),
      ];
    },

    async started(this: Instance) {
      const config = options.config ?? loadConfig(process.env);
      const concurrency = options.concurrency ?? 4;
      this.inboxDatabase = databaseOf(this, config, concurrency);
      const kafka =
        options.kafka?.(this) ??
        createPlatformaticPort(kafkaConnectionOf(config, required(config, 'kafkaBrokers'), this.logger));
      this.inbox = createInbox({
        group: options.group,
        groupId: `${config.topicPrefix}.${options.group}`,
        mode: options.mode,
        topics: typeof options.topics === 'function' ? options.topics(config) : options.topics,
        catalogue: options.catalogue,
        handlers: boundTo(this, options.handlers),
        afterCommit: options.afterCommit?.bind(this),
        baseline: options.baseline,
        askProducer: options.askProducer?.bind(this),
        store: mysqlStore({ database: this.inboxDatabase, consumer: options.group, mode: options.mode }),
        retention: retentionOf(config, options.retention),
        kafka,
        concurrency,
        ...(options.batchSize === undefined ? {} : { batchSize: options.batchSize }),
        metrics: moleculerMetrics(this.broker, options.group),
        logger: this.logger,
      });
      await this.inbox.start();
    },

    async stopped(this: Instance) {
      await this.inbox?.stop();
      await this.inboxDatabase?.close();
    },
  };
  return schema as Partial<ServiceSchema>;

  function databaseOf(service: Instance, config: Config, concurrency: number): Database {
    if (!options.sequelize) {
      // Two more than partitions at once: for offsets when partitions are assigned, and for what people and purges do.
      return openPool({ url: databaseUrl(config, options.database), connections: concurrency + 2 });
    }
    if (!service.sequelize)
      throw new Error(`InboxMixin with sequelize: true needs DatabaseMixin on ${service.fullName}.`);
    return onSequelize(service.sequelize as never);
  }
}

function retentionOf(config: Config, given: Partial<InboxRetention> = {}): InboxRetention {
  const { inboxEndlessTopics } = config;
  return {
    ...usualRetention,
    idsMs: config.inboxIdDays * dayMs,
    replayMs: config.inboxReplayDays * dayMs,
    endlessTopics: inboxEndlessTopics === 'refuse' ? undefined : inboxEndlessTopics,
    ...given,
  };
}

function resumeParams(given: unknown): { stream: Stream; version: bigint; reason: string } {
  const params = given as Record<string, unknown>;
  const text = (name: string): string => {
    const value = params[name];
    if (typeof value === 'string' && value !== '') return value;
    throw new ValidationError(
      `${name} is ${JSON.stringify(value)}; allowed: a text that is not empty.`,
      'VALIDATION_ERROR',
    );
  };
  const version = text('version');
  if (!/^[1-9][0-9]{0,18}$/.test(version)) {
    const message = `version is ${JSON.stringify(version)}; allowed: a positive whole number as text.`;
    throw new ValidationError(message, 'VALIDATION_ERROR');
  }
  const stream = { source: text('source'), aggregateType: text('aggregateType'), aggregateId: text('aggregateId') };
  return { stream, version: BigInt(version), reason: text('reason') };
}

function boundTo(service: Service, handlers: InboxMixinOptions['handlers']): InboxHandlers {
  const bound = new Map<InboxHandler, InboxHandler>();
  return Object.fromEntries(
    Object.entries(handlers).map(([type, handler]) => {
      // One object under several types stays one object: its events are handed over together.
      const copy: InboxHandler = bound.get(handler) ?? {
        handle: handler.handle?.bind(service) as InboxHandler['handle'],
        handleBatch: handler.handleBatch?.bind(service) as InboxHandler['handleBatch'],
      };
      bound.set(handler, copy);
      return [type, copy];
    }),
  );
}

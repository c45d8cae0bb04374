import type { Service, ServiceSchema } from 'moleculer';
import type { Sequelize } from 'sequelize';
import { loadConfig } from '../config/load.ts';
import { type ConnectionOptions, openSequelize } from '../database/connect.ts';
import { connectionOf } from '../database/connection-of.ts';
import { databaseErrorForCallers } from '../database/for-callers.ts';
import { DatabaseSupervisor } from '../database/supervise.ts';
import { verifyDatabase } from '../database/verify.ts';
import type { MigrationSet } from '../migrations/migration.ts';
import type { ReadinessCheck } from '../telemetry/readiness.ts';

export interface DatabaseMixinOptions<Models> {
  /** Name of the service's database: `<databasePrefix><database>` at `HOTBOARD_MYSQL_URL`, `-` as `_`. */
  database: string;
  /** Defines the models on the mixin's own Sequelize. */
  models?(sequelize: Sequelize): Models;
  /** Sets that must have run before the service works: a database that lacks one is refused. */
  migrations?: readonly MigrationSet[];
  /** Where the database is, in place of the `HOTBOARD_*` variables. A function, since it holds a password. */
  connection?(): ConnectionOptions;
}

/** What the mixin gives to `this` of a service. */
export interface DatabaseService<Models = unknown> extends Service {
  sequelize: Sequelize;
  models: Models;
  /** Resolves when the database is there and fit; throws a retryable `DatabaseError` while it is away. */
  databaseReady(): Promise<void>;
}

/** For mixins that need more of a database than its migrations. */
export interface DatabaseChecks extends Service {
  databaseChecks?: ((sequelize: Sequelize) => Promise<void>)[];
}

/**
 * Gives a service its own Sequelize (`this.sequelize`) and models (`this.models`), made in `created()` and closed in
 * `stopped()`; see `openSequelize` for what its sessions are like.
 *
 * The start of the service verifies the database. Where it is not fit (migrations are missing, no access), the start fails
 * with a message that says what to do. Where MySQL cannot be reached, the service starts all the same, is not ready
 * (`readiness()`), refuses transactions with a retryable error and goes on trying in the background. An action that fails
 * because the database is away answers the retryable error DATABASE_UNAVAILABLE (503), never the driver's.
 *
 * Methods: `databaseReady()`, `readiness()` (a service with a `readiness` of its own adds `databaseReadiness()` to it).
 */
export function DatabaseMixin<Models = Record<string, never>>(
  options: DatabaseMixinOptions<Models>,
): Partial<ServiceSchema> {
  interface Instance extends DatabaseService<Models>, DatabaseChecks {
    databaseSupervisor?: DatabaseSupervisor;
  }

  const connection = (): ConnectionOptions => {
    if (options.connection) return options.connection();
    return connectionOf(loadConfig(process.env), options.database);
  };

  const schema: Partial<ServiceSchema<unknown, object, object, Instance>> = {
    hooks: {
      error: {
        '*'(_ctx: unknown, error: Error) {
          throw databaseErrorForCallers(error);
        },
      },
    },

    methods: {
      databaseReady(this: Instance): Promise<void> {
        return this.databaseSupervisor!.whenReady();
      },
      databaseReadiness(this: Instance): ReadinessCheck {
        const state = this.databaseSupervisor!.state;
        const name = `database ${options.database}`;
        if (state.state === 'ready') return { name, ready: true };
        return { name, ready: false, detail: state.state === 'waiting' ? state.message : state.error.message };
      },
      readiness(this: Instance & { databaseReadiness(): ReadinessCheck }): ReadinessCheck[] {
        return [this.databaseReadiness()];
      },
    },

    created(this: Instance) {
      this.sequelize = openSequelize(connection());
      this.models = options.models?.(this.sequelize) as Models;
      this.databaseSupervisor = new DatabaseSupervisor({
        verify: async () => {
          await verifyDatabase(this.sequelize, options.migrations ?? []);
          for (const check of this.databaseChecks ?? []) await check(this.sequelize);
        },
        onChange: (state) => {
          if (state.state === 'ready') this.logger.info(`The database ${options.database} is ready.`);
          else if (state.state === 'refused') this.logger.error(state.error.message);
          else this.logger.warn(`${state.message} Trying again.`);
        },
      });
    },

    async started(this: Instance) {
      await this.databaseSupervisor!.start();
    },

    async stopped(this: Instance) {
      this.databaseSupervisor?.stop();
      await this.sequelize?.close();
    },
  };
  return schema as Partial<ServiceSchema>;
}

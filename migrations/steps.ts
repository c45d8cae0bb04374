import { badArgument } from './errors.ts';
import type { Migration, MigrationSet } from './migration.ts';

export interface MigrationStatus {
  executed: string[];
  pending: string[];
  /** In the database, but unknown here: a newer program has migrated it. */
  unknown: string[];
}

/** Names of the steps that ran. Missing table (error 1146): none did. */
export const selectExecuted = 'SELECT name FROM schema_migration ORDER BY executed_at, name';

export function compareSteps(steps: readonly Migration[], executed: readonly string[]): MigrationStatus {
  const ran = new Set(executed);
  const names = new Set(steps.map((step) => step.name));
  return {
    executed: executed.filter((name) => names.has(name)),
    pending: [...names].filter((name) => !ran.has(name)),
    unknown: executed.filter((name) => !names.has(name)),
  };
}

/** All steps in order. Throws `MIGRATION_BAD_ARGUMENT` where two have one name or a name is malformed. */
export function flatten(sets: readonly MigrationSet[]): Migration[] {
  const steps = sets.flat();
  const seen = new Set<string>();
  for (const { name } of steps) {
    if (!/^[a-z][a-z0-9-]*\/[0-9]{4}-[a-z0-9-]+$/.test(name)) {
      throw badArgument(`The migration name ${JSON.stringify(name)} is not like "outbox/0001-outbox-tables".`);
    }
    if (seen.has(name)) throw badArgument(`The migration ${name} is listed twice.`);
    seen.add(name);
  }
  return steps;
}

import { parseArgs } from 'node:util';
import { databaseUrl } from '../config/database-url.ts';
import { ConfigError, loadConfig } from '../config/load.ts';
import { attachedEnvironment } from '../stack/attach.ts';
import { migrateAll, migrateTopics } from './all.ts';
import { type BoardDatabase, boardDatabases } from './databases.ts';
import { MigrationError } from './errors.ts';
import { migrateDatabase, migrationStatus, rollbackDatabase } from './run.ts';

const usage = `npm run migrate -- up [--database NAME [--to STEP]]     databases and topics; with --database only that one
npm run migrate -- down (--all | --database NAME --to STEP) takes steps back, that one included; its data is lost
npm run migrate -- status [--database NAME]                which steps ran and which did not
npm run migrate -- topics                                  only the Kafka topics
databases: ${boardDatabases.map(({ name }) => name).join(', ')}`;

class UsageError extends Error {}

try {
  await run(process.argv.slice(2));
} catch (error) {
  if (error instanceof UsageError) console.error(`${error.message}\n${usage}`);
  else if (error instanceof MigrationError || error instanceof ConfigError) console.error(error.message);
  else console.error(error);
  process.exitCode = 1;
}

async function run(argv: string[]): Promise<void> {
  const { command, chosen, to, all } = readArguments(argv);
  const config = loadConfig(attachedEnvironment(process.env));
  const log = (message: string) => console.log(message);
  const optionsOf = (database: BoardDatabase) => ({
    url: databaseUrl(config, database.name),
    sets: database.sets,
    buckets: config.buckets,
    to,
    log,
  });
  switch (command) {
    case 'up':
      if (!chosen) await migrateAll({ config, log });
      else await migrateDatabase(optionsOf(chosen));
      log(`${chosen?.name ?? 'Databases and topics'}: up to date`);
      return;
    case 'topics':
      return migrateTopics({ config, log });
    case 'down':
      if (!all && !(chosen && to)) throw new UsageError('down needs --all, or --database and --to.');
      for (const database of chosen ? [chosen] : boardDatabases) await rollbackDatabase(optionsOf(database));
      return;
    case 'status':
      for (const database of chosen ? [chosen] : boardDatabases) {
        const { executed, pending, unknown } = await migrationStatus(optionsOf(database));
        for (const step of executed) log(`${database.name}  done     ${step}`);
        for (const step of pending) log(`${database.name}  pending  ${step}`);
        for (const step of unknown) log(`${database.name}  unknown  ${step} (a newer program ran it)`);
        if (pending.length > 0) process.exitCode = 2;
      }
      return;
    default:
      throw new UsageError(command ? `There is no command "${command}".` : 'What shall be done?');
  }
}

function readArguments(argv: string[]) {
  try {
    const { positionals, values } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: { database: { type: 'string' }, to: { type: 'string' }, all: { type: 'boolean' } },
    });
    if (positionals.length > 1) throw new UsageError(`"${positionals[1]}" is one word too many.`);
    const chosen = boardDatabases.find(({ name }) => name === values.database);
    if (values.database !== undefined && !chosen) throw new UsageError(`There is no database "${values.database}".`);
    if (values.to !== undefined && !chosen) throw new UsageError('--to needs --database.');
    return { command: positionals[0], chosen, to: values.to, all: values.all };
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError((error as Error).message);
  }
}

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StackError } from '../errors.ts';
import { plainPath } from '../folders.ts';
import type { Provider } from '../types.ts';
import { mysqlVersion } from '../versions.ts';
import { type Places, type PreparedServer, serverEnvironment } from './server.ts';

/** A MariaDB on disk. */
export interface MariadbBinaries {
  provider: Provider;
  mariadbd: string;
  basedir: string;
  /** Folder with the SQL files of the system tables and the messages. */
  share: string;
  /** Major and minor: the name of the data folder. A server never opens the files of a later one. */
  series: string;
  expectedVersion: string | null;
}

export const mysqlUser = 'hotboard';

/** The files that make the system tables, in order; the help texts and the sys schema are left out. Names until 10.x, and since. */
const systemTables = [
  ['mariadb_system_tables.sql', 'mysql_system_tables.sql'],
  ['mariadb_performance_tables.sql', 'mysql_performance_tables.sql'],
  ['mariadb_system_tables_data.sql', 'mysql_system_tables_data.sql'],
  ['maria_add_gis_sp_bootstrap.sql'],
] as const;

const redoLog = '--innodb-log-file-size=128M';

export function mysqlUrl(port: number, password: string): string {
  return `mysql://${mysqlUser}:${password}@127.0.0.1:${port}`;
}

/**
 * MariaDB on loopback: READ COMMITTED, row binlog, every commit on disk before it is acknowledged. The one account is
 * `hotboard` with this stack's password, set at each start, so that data and password never part.
 */
export function prepareMariadb(
  binaries: MariadbBinaries,
  options: { places: Places; port: number; password: string; env: NodeJS.ProcessEnv },
): PreparedServer {
  const { places, port, password } = options;
  const folder = join(places.data, `mariadb-${binaries.series}`);
  const shared = [
    `--basedir=${binaries.basedir}`,
    `--lc-messages-dir=${binaries.share}`,
    `--character-sets-dir=${join(binaries.share, 'charsets')}`,
    ...(process.getuid?.() === 0 ? ['--user=root'] : []),
    redoLog,
  ];
  const env = serverEnvironment(options.env);
  const initFile = join(places.run, 'mysql-init.sql');
  return {
    name: 'mysql',
    provider: binaries.provider,
    port,
    expectedVersion: binaries.expectedVersion,
    command: {
      name: 'mysql',
      command: binaries.mariadbd,
      args: [
        '--no-defaults',
        ...shared,
        `--datadir=${plainPath(folder, places.run, 'mysql-data')}`,
        `--socket=${join(places.run, 'mysql.sock')}`,
        // Not the folder that all servers share: one that starts removes what looks left over there.
        `--tmpdir=${places.run}`,
        `--pid-file=${join(places.run, 'mysql.pid')}`,
        `--port=${port}`,
        '--bind-address=127.0.0.1',
        '--skip-name-resolve',
        // It would make an RSA key at every start, which takes up to ten seconds.
        '--skip-ssl',
        `--init-file=${initFile}`,
        '--server-id=1',
        '--log-bin=binlog',
        '--binlog-format=ROW',
        '--binlog-expire-logs-seconds=259200',
        // With a binlog both are needed for a commit that survives a power cut; they are MySQL's defaults.
        '--sync-binlog=1',
        '--innodb-flush-log-at-trx-commit=1',
        '--transaction-isolation=READ-COMMITTED',
        '--character-set-server=utf8mb4',
        '--innodb-buffer-pool-size=256M',
        '--max-connections=500',
        '--max-allowed-packet=64M',
      ],
      env,
      cwd: places.run,
      logFile: join(places.logs, 'mysql.log'),
      stopGraceMs: 20_000,
    },
    async prepare() {
      await writeFile(initFile, accountSql(password), { mode: 0o600 });
      if (!existsSync(folder)) await createDataFolder(binaries, { folder, shared, env, places });
    },
    probe: () => mysqlVersion(mysqlUrl(port, password)),
  };
}

/** The password is hexadecimal: nothing in it needs quoting. */
function accountSql(password: string): string {
  const account = `'${mysqlUser}'@'%'`;
  return [
    'SET sql_log_bin = 0;',
    `CREATE USER IF NOT EXISTS ${account} IDENTIFIED BY '${password}';`,
    `ALTER USER ${account} IDENTIFIED BY '${password}';`,
    `GRANT ALL PRIVILEGES ON *.* TO ${account} WITH GRANT OPTION;`,
    '',
  ].join('\n');
}

/**
 * What mariadb-install-db does, without that script: it fails on a folder with spaces, and leaves a root without a
 * password. The folder takes its name when it is complete.
 */
async function createDataFolder(
  binaries: MariadbBinaries,
  where: { folder: string; shared: string[]; env: Record<string, string>; places: Places },
): Promise<void> {
  const sql = await bootstrapSql(binaries.share);
  const next = `${where.folder}.next`;
  await rm(next, { recursive: true, force: true });
  await mkdir(next, { recursive: true, mode: 0o700 });
  const child = spawn(
    binaries.mariadbd,
    [
      '--no-defaults',
      '--bootstrap',
      ...where.shared,
      `--datadir=${plainPath(next, where.places.run, 'mysql-bootstrap')}`,
      `--tmpdir=${where.places.run}`,
      '--log-warnings=0',
      '--enforce-storage-engine=',
      '--max-allowed-packet=8M',
    ],
    { cwd: where.places.run, env: where.env, stdio: ['pipe', 'ignore', 'pipe'] },
  );
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(-4000);
  });
  child.stdin.on('error', () => {});
  child.stdin.end(sql);
  const code = await new Promise<number | string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, signal) => resolve(exitCode ?? signal ?? 'unknown'));
  });
  if (code !== 0) {
    const lines = complaints.split('\n').filter((line) => /error/i.test(line));
    throw new StackError(
      'STACK_SERVER_FAILED',
      `MariaDB could not make its data folder ${where.folder} (exit ${code}): ${lines.slice(-2).join(' ').trim() || complaints.trim().slice(-300)}`,
    );
  }
  await rename(next, where.folder);
}

async function bootstrapSql(share: string): Promise<string> {
  const files = await Promise.all(
    systemTables.map((names) => {
      const found = names.map((name) => join(share, name)).find((file) => existsSync(file));
      if (found === undefined) throw new StackError('STACK_SERVER_FAILED', `${names[0]} is missing in ${share}.`);
      return readFile(found, 'utf8');
    }),
  );
  // In bootstrap mode each statement ends at the end of a line.
  return [
    'CREATE DATABASE IF NOT EXISTS mysql;',
    'USE mysql;',
    'SET @auth_root_socket = NULL;',
    ...files,
    "DELETE FROM global_priv WHERE User = 'root';",
    "DELETE FROM proxies_priv WHERE User = 'root';",
    '',
  ].join('\n');
}

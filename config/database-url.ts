import type { Config } from './load.ts';
import { ConfigError, required } from './load.ts';

/** Name of a service's database: the prefix and the service's name, `-` as `_` (`hot-article` → `hotboard_hot_article`). */
export function databaseName(config: Pick<Config, 'databasePrefix'>, database: string): string {
  return `${config.databasePrefix}${database.replaceAll('-', '_')}`;
}

/** URL of a service's database. Throws `ConfigError` where `HOTBOARD_MYSQL_URL` is not set or names a database itself. */
export function databaseUrl(config: Config, database: string): string {
  const url = new URL(required(config, 'mysqlUrl'));
  if (url.pathname !== '' && url.pathname !== '/') {
    throw new ConfigError(
      `HOTBOARD_MYSQL_URL names the database "${url.pathname.slice(1)}"; allowed: mysql://user:password@host:port, each service has a database of its own.`,
    );
  }
  url.pathname = `/${databaseName(config, database)}`;
  return url.href;
}

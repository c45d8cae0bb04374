import type { Static, TSchema } from '@sinclair/typebox';
import { Value as Schema } from '@sinclair/typebox/value';
import { environmentName, type Variable, type VariableKey, variables } from './variables.ts';

type Value<Entry extends Variable> = Static<Entry['schema']>;

/** The validated configuration. A variable without a default is undefined where it is not set: see `required`. */
export type Config = {
  readonly [Key in VariableKey]: (typeof variables)[Key] extends { default: string }
    ? Value<(typeof variables)[Key]>
    : Value<(typeof variables)[Key]> | undefined;
};

/** A mistake in the configuration. `message` is one line: the key, the value, what is allowed. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'CONFIG_INVALID';
}

const keys = Object.keys(variables) as VariableKey[];
const names = new Map(keys.map((key) => [environmentName(key), key]));

/** Reads all `HOTBOARD_*` variables. Throws `ConfigError` for the first that is unknown or wrong. */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  for (const name of Object.keys(env)) {
    if (name.startsWith('HOTBOARD_') && !names.has(name)) throw unknownName(name);
  }
  const config: Record<string, unknown> = {};
  for (const key of keys) {
    const entry: Variable = variables[key];
    const given = env[environmentName(key)];
    const text = given === undefined || given === '' ? entry.default : given;
    config[key] = text === undefined ? undefined : parse(key, entry, text);
  }
  const loaded = config as unknown as Config;
  checkTogether(loaded, env);
  return loaded;
}

/** The value of a variable that has no default. Throws `ConfigError` where it is not set. */
export function required<Key extends VariableKey>(config: Config, key: Key): NonNullable<Config[Key]> {
  const value = config[key];
  if (value === undefined) {
    throw new ConfigError(
      `${environmentName(key)} is not set: ${allowed(variables[key].schema)} is needed. ${variables[key].description}`,
    );
  }
  return value as NonNullable<Config[Key]>;
}

function parse(key: VariableKey, entry: Variable, text: string): unknown {
  const value = fromText(entry.schema, text);
  // checked by walking the schema: compiling each for one look would cost every process start 0.1 s
  const fits = Schema.Check(entry.schema, value) && (key !== 'timeZone' || isTimeZone(text));
  if (!fits) {
    const shown = entry.secret ? `(${text.length} characters)` : JSON.stringify(text);
    throw new ConfigError(`${environmentName(key)} is ${shown}; allowed: ${allowed(entry.schema)}.`);
  }
  return value;
}

function fromText(schema: TSchema, text: string): unknown {
  switch (schema.type) {
    case 'integer':
    case 'number':
      return text.trim() === '' ? text : Number(text);
    case 'boolean':
      return text === '1' || text === 'true' ? true : text === '0' || text === 'false' ? false : text;
    case 'array':
      return text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '');
    default:
      return text;
  }
}

/** What a schema allows, in words. */
export function allowed(schema: TSchema): string {
  if (schema.anyOf) return schema.anyOf.map((option: TSchema) => String(option.const)).join(', ');
  if (schema.type === 'boolean') return '1, true, 0 or false';
  if (schema.description) return schema.description;
  if (schema.type === 'integer' || schema.type === 'number') {
    return `${schema.type === 'integer' ? 'a whole number' : 'a number'} from ${schema.minimum} to ${schema.maximum}`;
  }
  if (schema.pattern) return `text like ${schema.pattern}`;
  return schema.minLength ? `text of at least ${schema.minLength} characters` : 'any text';
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function unknownName(name: string): ConfigError {
  const near = [...names.keys()].filter((known) => distance(known, name) <= 3);
  const hint = near.length > 0 ? `did you mean ${near.join(' or ')}?` : 'npm run config lists those that exist.';
  return new ConfigError(`${name} is no variable of Hotboard: ${hint}`);
}

function checkTogether(config: Config, env: Readonly<Record<string, string | undefined>>): void {
  for (const key of ['kafkaTlsCa', 'kafkaTlsCert', 'kafkaTlsKey'] as const) {
    if (config[key] === undefined || config.kafkaTls) continue;
    throw new ConfigError(`${environmentName(key)} is set while HOTBOARD_KAFKA_TLS is 0; allowed with it: 1.`);
  }
  if ((config.kafkaTlsCert === undefined) !== (config.kafkaTlsKey === undefined)) {
    throw new ConfigError('HOTBOARD_KAFKA_TLS_CERT and HOTBOARD_KAFKA_TLS_KEY go together: only one of them is set.');
  }
  if (config.kafkaSaslMechanism !== 'none' && config.kafkaSaslUsername === '') {
    throw new ConfigError(
      `HOTBOARD_KAFKA_SASL_USERNAME is empty while HOTBOARD_KAFKA_SASL_MECHANISM is "${config.kafkaSaslMechanism}".`,
    );
  }
  if (config.devLogin && env.NODE_ENV === 'production') {
    throw new ConfigError('HOTBOARD_DEV_LOGIN is 1 while NODE_ENV is "production"; allowed there: 0.');
  }
  if (config.devLogin && !['127.0.0.1', 'localhost', '::1'].includes(config.httpHost)) {
    throw new ConfigError(
      `HOTBOARD_DEV_LOGIN is 1 while HOTBOARD_HTTP_HOST is "${config.httpHost}"; allowed with it: 127.0.0.1, ::1 or localhost.`,
    );
  }
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}

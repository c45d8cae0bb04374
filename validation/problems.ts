import type { TSchema } from '@sinclair/typebox';
import type { ErrorObject } from 'ajv';

/** One thing that is wrong with a request: which field, what is wrong with its value, what is allowed. */
export interface Problem {
  /** Path of the field with dots, e.g. `title` or `roles.0`; empty for the whole. */
  field: string;
  problem: string;
  allowed: string;
}

const shownLength = 40;

/** The first problem of each field, in words. `schema` is what was checked against, for the names that are allowed. */
export function problemsOf(errors: readonly ErrorObject[]): Problem[] {
  const byField = new Map<string, Problem>();
  for (const error of errors) {
    const problem = problemOf(error);
    if (!byField.has(problem.field)) byField.set(problem.field, problem);
  }
  return [...byField.values()];
}

/** All problems in one line. */
export function inOneLine(problems: readonly Problem[]): string {
  return problems
    .map(({ field, problem, allowed }) => `${field || 'The value'} ${problem}; allowed: ${allowed}.`)
    .join(' ');
}

function problemOf(error: ErrorObject): Problem {
  const schema = error.parentSchema as TSchema;
  const path = error.instancePath.split('/').slice(1).map(decodePointer);
  switch (error.keyword) {
    case 'required': {
      const name = String(error.params.missingProperty);
      return { field: [...path, name].join('.'), problem: 'is missing', allowed: allowedBy(schema.properties?.[name]) };
    }
    case 'additionalProperties': {
      const name = shorten(String(error.params.additionalProperty));
      const names = Object.keys(schema.properties ?? {});
      return {
        field: [...path, name].join('.'),
        problem: 'is no known field',
        allowed: names.length > 0 ? names.join(', ') : 'no fields',
      };
    }
    default:
      return { field: path.join('.'), problem: `is ${inWords(error.data)}`, allowed: allowedBy(schema) };
  }
}

/** What a schema allows, in words. Its `description` says it best. */
export function allowedBy(schema: TSchema | undefined): string {
  if (schema === undefined) return 'any value';
  if (schema.description) return schema.description;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf) return schema.anyOf.map(allowedBy).join(' or ');
  switch (schema.type) {
    case 'integer':
    case 'number': {
      const kind = schema.type === 'integer' ? 'a whole number' : 'a number';
      if (schema.minimum !== undefined && schema.maximum !== undefined) {
        return `${kind} from ${schema.minimum} to ${schema.maximum}`;
      }
      return schema.minimum === undefined ? kind : `${kind} of at least ${schema.minimum}`;
    }
    case 'string':
      if (schema.pattern) return `text like ${schema.pattern}`;
      return schema.maxLength === undefined
        ? 'text'
        : `text of ${schema.minLength ?? 0} to ${schema.maxLength} characters`;
    case 'array':
      return schema.maxItems === undefined ? 'a list' : `a list of at most ${schema.maxItems}`;
    case 'boolean':
      return 'true or false';
    case 'null':
      return 'null';
    default:
      return 'an object';
  }
}

/** A value as somebody may be shown it: short, so that an error never carries a whole article. */
function inWords(value: unknown): string {
  if (typeof value === 'string') {
    const length = [...value].length;
    return length > shownLength ? `text of ${length} characters` : JSON.stringify(value);
  }
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value === 'number') return `the number ${value}`;
  return String(value);
}

function shorten(name: string): string {
  return name.length > shownLength ? `${name.slice(0, shownLength)}…` : name;
}

function decodePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}

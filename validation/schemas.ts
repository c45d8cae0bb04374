import { Kind, type TSchema } from '@sinclair/typebox';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { formats } from './fields.ts';
import { type Problem, problemsOf } from './problems.ts';

/** Null where the value fits, else what is wrong with it. */
export type Check = (value: unknown) => Problem[] | null;

const ajv = new Ajv({ strict: true, allErrors: true, verbose: true, coerceTypes: false, useDefaults: false });
addFormats.default(ajv);
for (const [name, validate] of Object.entries(formats)) ajv.addFormat(name, validate);

/** More problems than these help nobody and would let one request make a long answer. */
const maxProblems = 20;

/** Whether action `params` are a JSON Schema, and not Moleculer's own rules (fastest-validator), as `$node` has them. */
export function isJsonSchema(params: object): params is TSchema {
  if (Kind in params) return true;
  const { type, properties, $$root } = params as Record<string, unknown>;
  return type === 'object' && typeof properties === 'object' && $$root === undefined;
}

/** Compiles a schema. Its objects take no fields that they do not list, unless they say `additionalProperties` themselves. */
export function compileSchema(schema: TSchema): Check {
  const validate = ajv.compile(closed(schema));
  return (value) => (validate(value) ? null : problemsOf(validate.errors ?? []).slice(0, maxProblems));
}

function closed(schema: TSchema): TSchema {
  const copy: Record<string, unknown> = { ...schema };
  if (schema.type === 'object' && schema.properties !== undefined) {
    copy.properties = Object.fromEntries(
      Object.entries(schema.properties as Record<string, TSchema>).map(([name, field]) => [name, closed(field)]),
    );
    copy.additionalProperties ??= false;
  }
  if (schema.type === 'array' && schema.items !== undefined) copy.items = closed(schema.items);
  if (Array.isArray(schema.anyOf)) copy.anyOf = schema.anyOf.map(closed);
  return copy as TSchema;
}

import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import type { EventDefinition } from './definition.ts';
import { isSkipped, SkippedV1 } from './skipped.ts';

/** Every event type that a system knows, with compiled schemas; `Skipped` (skipped.ts) is in each, beside the definitions. */
export interface Catalogue {
  readonly definitions: readonly EventDefinition[];
  /** The newest definition of a type, or undefined for an uncatalogued one. */
  find(type: string, schemaVersion?: number): EventDefinition | undefined;
  /** Null where the payload fits its schema, else what is wrong, in words. */
  check(definition: EventDefinition, payload: unknown): string | null;
  /** Compiles these definitions now: who will need them finds a mistake at its start. Throws `EventSchemaError`. */
  prepare(definitions: readonly EventDefinition[]): void;
}

/** A definition whose payload is no valid JSON Schema. `message` is one line that names the event. */
export class EventSchemaError extends Error {
  override readonly name = 'EventSchemaError';
  readonly code = 'EVENT_SCHEMA_INVALID';
  readonly retryable = false;
}

export function createCatalogue(definitions: readonly EventDefinition[]): Catalogue {
  const ajv = new Ajv({ allErrors: true, strict: true });
  addFormats.default(ajv);
  const known = new Set<EventDefinition>();
  // compiled when first needed: a relay, or a projector of one topic, never looks into most payloads
  const compiled = new Map<EventDefinition, ValidateFunction>();
  const byVersion = new Map<string, Map<number, EventDefinition>>();
  const newest = new Map<string, EventDefinition>();
  for (const definition of [SkippedV1, ...definitions]) {
    if (definition !== SkippedV1 && isSkipped(definition.type)) {
      throw new Error(`The event type ${SkippedV1.type} is in every catalogue already: choose another name.`);
    }
    const name = `${definition.type} v${definition.schemaVersion}`;
    const versions = byVersion.get(definition.type) ?? new Map<number, EventDefinition>();
    if (versions.has(definition.schemaVersion)) throw new Error(`The event ${name} is in the catalogue twice.`);
    byVersion.set(definition.type, versions.set(definition.schemaVersion, definition));
    const other = newest.get(definition.type);
    if (!other || other.schemaVersion < definition.schemaVersion) newest.set(definition.type, definition);
    known.add(definition);
  }
  const validatorOf = (definition: EventDefinition): ValidateFunction => {
    const ready = compiled.get(definition);
    if (ready) return ready;
    const name = `${definition.type} v${definition.schemaVersion}`;
    if (!known.has(definition)) throw new Error(`The event ${definition.type} is not in this catalogue.`);
    try {
      const validate = ajv.compile(definition.payload);
      compiled.set(definition, validate);
      return validate;
    } catch (cause) {
      throw new EventSchemaError(
        `The payload of the event ${name} is no valid JSON Schema: ${(cause as Error).message}`,
        {
          cause,
        },
      );
    }
  };
  return {
    definitions,
    find: (type, schemaVersion) =>
      schemaVersion === undefined ? newest.get(type) : byVersion.get(type)?.get(schemaVersion),
    check(definition, payload) {
      const validate = validatorOf(definition);
      return validate(payload) ? null : inWords(validate.errors ?? []);
    },
    prepare(wanted) {
      for (const definition of wanted) validatorOf(definition);
    },
  };
}

function inWords(errors: readonly ErrorObject[]): string {
  return errors.map((error) => `${error.instancePath.slice(1) || 'payload'} ${error.message}`).join('; ');
}

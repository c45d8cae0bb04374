import type { ActionHandler, ActionSchema, Context, EventSchema, Middleware, ServiceBroker } from 'moleculer';
import moleculer from 'moleculer';
import { inOneLine, type Problem } from './problems.ts';
import { type Check, compileSchema, isJsonSchema } from './schemas.ts';

const { Errors, Validators } = moleculer;

/** A request whose parameters break their schema: 400, `VALIDATION_ERROR`; `data` is the list of problems. */
export function validationError(problems: readonly Problem[]): InstanceType<typeof Errors.MoleculerClientError> {
  return new Errors.MoleculerClientError(inOneLine(problems), 400, 'VALIDATION_ERROR', problems);
}

type Rules = Record<string, unknown>;
type Checker = ReturnType<InstanceType<typeof Validators.Base>['compile']>;
type Wrapped = ActionHandler & ((ctx: Context) => unknown);

/**
 * Moleculer's validator on JSON Schema (Ajv): `params` of an action or event are a TypeBox object, fields that it does not
 * list are refused, nothing is coerced and nothing is filled in. `params` in Moleculer's own format (its built-in services
 * have such) still go through Moleculer's own validator.
 *
 * Errors: `VALIDATION_ERROR` with code 400 (Moleculer's own would be 422), `data: { field, problem, allowed }[]`. A schema
 * that is itself wrong throws when the service is created.
 */
export class JsonSchemaValidator extends Validators.Base {
  readonly #fastest = new Validators.Fastest();

  constructor() {
    super({});
  }

  override init(broker: ServiceBroker): void {
    super.init(broker);
    this.#fastest.init(broker);
  }

  /** A function that answers true, or the list of problems (Moleculer's type only knows of a boolean). */
  override compile(schema: Rules): Checker {
    const check = this.#checkOf(schema);
    return ((params: Rules) => check(params) ?? true) as Checker;
  }

  /** Throws `VALIDATION_ERROR` where `params` break the schema. */
  override validate(params: Rules, schema: Rules): boolean {
    const problems = this.#checkOf(schema)(params);
    if (problems !== null) throw validationError(problems);
    return true;
  }

  override convertSchemaToMoleculer(schema: Rules): Rules {
    return isJsonSchema(schema) ? {} : schema;
  }

  override middleware(): Middleware {
    const wrap = (next: (ctx: Context) => unknown, definition: { name?: string; params?: unknown }) => {
      if (typeof definition.params !== 'object' || definition.params === null) return next;
      const check = this.#checkFor(definition.name, definition.params as Rules);
      return (ctx: Context) => {
        const problems = check(ctx.params ?? {});
        return problems === null ? next(ctx) : Promise.reject(validationError(problems));
      };
    };
    return {
      name: 'Validator',
      localAction: (next: ActionHandler, action: ActionSchema) => wrap(next as Wrapped, action) as ActionHandler,
      localEvent: (next, event: EventSchema) => wrap(next as never, event) as never,
    };
  }

  #checkFor(name: string | undefined, schema: Rules): Check {
    try {
      return this.#checkOf(schema);
    } catch (cause) {
      throw new Errors.ServiceSchemaError(`The params of ${name} are no valid schema: ${(cause as Error).message}`, {});
    }
  }

  #checkOf(schema: Rules): Check {
    if (isJsonSchema(schema)) return compileSchema(schema);
    const check = this.#fastest.compile(schema) as (value: unknown) => true | readonly FastestProblem[];
    return (value) => {
      const answer = check(value);
      return answer === true ? null : answer.map(problemOfFastest);
    };
  }
}

interface FastestProblem {
  field: string;
  message?: string;
  expected?: unknown;
}

function problemOfFastest({ field, message, expected }: FastestProblem): Problem {
  return {
    field,
    problem: `is wrong (${message ?? 'it breaks its rule'})`,
    allowed: expected === undefined ? 'see the message' : String(expected),
  };
}

import moleculer, { type Context } from 'moleculer';
import { DeadLetterError } from '../inbox/dead-letters/errors.ts';
import type { DeadLetters } from '../inbox/dead-letters/operations.ts';

const { MoleculerClientError, MoleculerRetryableError, ValidationError } = moleculer.Errors;

/** Handlers of events run within them, for a page of letters. */
const timeoutMs = 60_000;

/**
 * The operations of `DeadLetters` as the actions `<service>.deadLetters.list | show | replay | edit | discard`, with the same
 * parameters and answers. Errors: `VALIDATION_ERROR` (422), `DEAD_LETTER_UNKNOWN` (404), `DEAD_LETTER_SETTLED` and
 * `DEAD_LETTER_CHANGED` (409), `DEAD_LETTER_UNAVAILABLE` (503, retryable).
 */
export function deadLetterActions<Instance>(of: (service: Instance) => DeadLetters) {
  const action = (name: keyof DeadLetters) => ({
    // the typings do not know it; the time-out middleware takes it in place of `requestTimeout`
    ...({ timeout: timeoutMs } as object),
    async handler(this: Instance, ctx: Context) {
      try {
        return await (of(this)[name] as (request: unknown) => Promise<unknown>)(ctx.params);
      } catch (error) {
        throw error instanceof DeadLetterError ? forCallers(error) : error;
      }
    },
  });
  return {
    'deadLetters.list': action('list'),
    'deadLetters.show': action('show'),
    'deadLetters.replay': action('replay'),
    'deadLetters.edit': action('edit'),
    'deadLetters.discard': action('discard'),
  };
}

function forCallers({ code, message }: DeadLetterError): Error {
  switch (code) {
    case 'DEAD_LETTER_BAD_REQUEST':
      return new ValidationError(message, 'VALIDATION_ERROR');
    case 'DEAD_LETTER_UNKNOWN':
      return new MoleculerClientError(message, 404, code);
    case 'DEAD_LETTER_SETTLED':
    case 'DEAD_LETTER_CHANGED':
      return new MoleculerClientError(message, 409, code);
    case 'DEAD_LETTER_UNAVAILABLE':
      return new MoleculerRetryableError(message, 503, code);
    default:
      return code satisfies never;
  }
}

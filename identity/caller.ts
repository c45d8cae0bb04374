import type { Context } from 'moleculer';
import moleculer from 'moleculer';

const { Errors } = moleculer;

/** Who calls, as the gateway read it from the token. It travels in `ctx.meta.user`. */
export interface Caller {
  /** A positive 64-bit id. */
  id: string;
  roles: readonly string[];
}

export interface CallerMeta {
  user?: Caller | null;
}

/** The caller of an action, or null for an anonymous one. */
export function callerOrNull(ctx: Context<unknown, object>): Caller | null {
  return (ctx.meta as CallerMeta).user ?? null;
}

/** The caller of an action. Throws `TOKEN_MISSING` (401) where there is none. */
export function callerOf(ctx: Context<unknown, object>): Caller {
  const caller = callerOrNull(ctx);
  if (caller === null) throw tokenMissing();
  return caller;
}

/** Throws `NOT_ALLOWED` (403) unless the caller wrote this, or is an admin. */
export function mustOwn(caller: Caller, writerId: string, what: string): void {
  if (caller.id === writerId || caller.roles.includes('admin')) return;
  throw new Errors.MoleculerClientError(
    `This ${what} was written by somebody else; allowed are its writer and the role admin.`,
    403,
    'NOT_ALLOWED',
  );
}

export function tokenMissing(): InstanceType<typeof Errors.MoleculerClientError> {
  return new Errors.MoleculerClientError(
    'A user is needed here: send the header "Authorization: Bearer <token>".',
    401,
    'TOKEN_MISSING',
  );
}

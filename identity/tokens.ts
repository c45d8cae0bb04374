import { createSecretKey } from 'node:crypto';
import { type JWTPayload, jwtVerify, SignJWT } from 'jose';
import moleculer from 'moleculer';
import { type Config, ConfigError } from '../config/load.ts';
import { formats } from '../validation/fields.ts';
import type { Caller } from './caller.ts';
import { isAboutKeys, jwksAlgorithms, keysFrom } from './jwks.ts';

const { Errors } = moleculer;

/** Reads bearer tokens, and makes them where the configuration lets it. */
export interface Tokens {
  /**
   * The caller behind a token. Rejects with `TOKEN_EXPIRED` or `TOKEN_INVALID` (401), or with `IDENTITY_UNAVAILABLE` (503,
   * retryable) where the keys can't be fetched.
   */
  verify(token: string): Promise<Caller>;
  /** Null unless the development login is on. */
  issue: ((caller: Caller) => Promise<string>) | null;
}

/** Lifetime of a token of the development login. */
const developmentTokenS = 12 * 3600;
/** How far the clocks of whoever signs and of this machine may differ. */
const clockToleranceS = 5;

/**
 * Exactly one of `HOTBOARD_JWT_SECRET` (HS256) and `HOTBOARD_JWT_JWKS_URL` says whose tokens count. Throws `ConfigError` else.
 * `now` is the clock, in milliseconds.
 */
export function createTokens(
  config: Pick<Config, 'jwtSecret' | 'jwtJwksUrl' | 'devLogin'>,
  now: () => number = Date.now,
): Tokens {
  const { jwtSecret, jwtJwksUrl, devLogin } = config;
  if ((jwtSecret === undefined) === (jwtJwksUrl === undefined)) {
    const found = jwtSecret === undefined ? 'neither' : 'both';
    throw new ConfigError(
      `HOTBOARD_JWT_SECRET and HOTBOARD_JWT_JWKS_URL: ${found} set; allowed on a node with the gateway: exactly one of them.`,
    );
  }
  if (devLogin && jwtSecret === undefined) {
    throw new ConfigError(
      'HOTBOARD_DEV_LOGIN is 1 with HOTBOARD_JWT_JWKS_URL; allowed: only with HOTBOARD_JWT_SECRET.',
    );
  }
  const secret = jwtSecret === undefined ? undefined : createSecretKey(jwtSecret, 'utf8');
  const key = secret === undefined ? keysFrom(new URL(jwtJwksUrl!)) : async () => secret;
  const algorithms = secret === undefined ? jwksAlgorithms : ['HS256'];
  return {
    async verify(token) {
      const options = {
        algorithms,
        clockTolerance: clockToleranceS,
        currentDate: new Date(now()),
        requiredClaims: ['exp'],
      };
      let payload: JWTPayload;
      try {
        ({ payload } = await jwtVerify(token, key, options));
      } catch (error) {
        throw secret === undefined && isAboutKeys(error) ? keysUnavailable(error) : refusal(error);
      }
      return callerOfClaims(payload);
    },
    issue:
      devLogin && secret !== undefined
        ? (caller) =>
            new SignJWT({ roles: caller.roles })
              .setProtectedHeader({ alg: 'HS256' })
              .setSubject(caller.id)
              .setIssuedAt(Math.floor(now() / 1000))
              .setExpirationTime(Math.floor(now() / 1000) + developmentTokenS)
              .sign(secret)
        : null,
  };
}

/** The claims that matter here: `sub` is the user's id, `roles` a list of words (missing: none). */
export function callerOfClaims(claims: JWTPayload): Caller {
  if (typeof claims.sub !== 'string' || !formats.id64!(claims.sub)) {
    throw invalid('its claim "sub" must be the id of a user, a positive 64-bit number as a string');
  }
  const roles = claims.roles ?? [];
  if (!Array.isArray(roles) || !roles.every((role) => typeof role === 'string')) {
    throw invalid('its claim "roles" must be a list of strings');
  }
  return { id: claims.sub, roles };
}

/** The token of an `Authorization` header; null where there is no header. Throws `TOKEN_INVALID` for another scheme. */
export function bearerToken(header: string | undefined): string | null {
  if (header === undefined) return null;
  const match = /^Bearer +([^\s]+) *$/i.exec(header);
  if (match === null) throw invalid('the header must read "Authorization: Bearer <token>"');
  return match[1]!;
}

function refusal(error: unknown): Error {
  const { code, claim } = error as { code?: string; claim?: string };
  if (code === 'ERR_JWT_EXPIRED') {
    return new Errors.MoleculerClientError('The token has expired: get a new one.', 401, 'TOKEN_EXPIRED');
  }
  if (code === 'ERR_JWT_CLAIM_VALIDATION_FAILED') return invalid(`its claim "${claim}" is missing or wrong`);
  return invalid('it is malformed, or was signed with another key or algorithm');
}

function keysUnavailable(cause: unknown): Error {
  const message = 'The keys that tokens are signed with can not be fetched at the moment.';
  return Object.assign(new Errors.MoleculerRetryableError(message, 503, 'IDENTITY_UNAVAILABLE'), { cause });
}

function invalid(why: string): InstanceType<typeof Errors.MoleculerClientError> {
  return new Errors.MoleculerClientError(`The token does not count: ${why}.`, 401, 'TOKEN_INVALID');
}

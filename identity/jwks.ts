import { createLocalJWKSet, createRemoteJWKSet, type JWTVerifyGetKey } from 'jose';

/** Asymmetric ones only: an HS256 token could be made by anybody from a public key. */
export const jwksAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
];

const fetchTimeoutMs = 3000;

/**
 * The keys behind a JWKS address, kept for 10 minutes. Where they can't be fetched anew, those known last go on counting:
 * an identity provider that is away must not stop the board.
 */
export function keysFrom(address: URL): JWTVerifyGetKey {
  const remote = createRemoteJWKSet(address, { timeoutDuration: fetchTimeoutMs });
  return async (header, token) => {
    try {
      return await remote(header, token);
    } catch (error) {
      const known = remote.jwks();
      if (known === undefined || !isAboutKeys(error)) throw error;
      return createLocalJWKSet(known)(header, token);
    }
  };
}

/** Whether an error says that the keys could not be had, and nothing about the token. */
export function isAboutKeys(error: unknown): boolean {
  const code = String((error as { code?: unknown } | null)?.code);
  if (['ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID', 'ERR_JOSE_GENERIC'].includes(code)) return true;
  return !/^ERR_(JW[TSEK]|JWKS|JOSE)_/.test(code);
}

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { mustOwn } from './caller.ts';
import { bearerToken, callerOfClaims, createTokens } from './tokens.ts';

const jwtSecret = 'a secret that is long enough for HS256';
const only = { jwtSecret, jwtJwksUrl: undefined, devLogin: true };

describe('tokens of a shared secret', () => {
  const tokens = createTokens(only);

  it('give back who they were made for', async () => {
    const token = await tokens.issue!({ id: '9007199254740993', roles: ['admin'] });
    expect(await tokens.verify(token)).toEqual({ id: '9007199254740993', roles: ['admin'] });
  });

  it('count until they expire', async () => {
    let now = Date.parse('2026-01-01T00:00:00Z');
    const clocked = createTokens(only, () => now);
    const token = await clocked.issue!({ id: '1', roles: [] });
    now += 12 * 3600_000;
    await expect(clocked.verify(token)).resolves.toEqual({ id: '1', roles: [] });
    now += 6000;
    await expect(clocked.verify(token)).rejects.toMatchObject({ code: 401, type: 'TOKEN_EXPIRED' });
  });

  it('do not count when signed with another secret, unsigned, without an end or when they are no tokens', async () => {
    const other = createTokens({ ...only, jwtSecret: 'another secret that is long enough' });
    const foreign = await other.issue!({ id: '1', roles: [] });
    const endless = await new SignJWT({})
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('1')
      .sign(new TextEncoder().encode(jwtSecret));
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const unsigned = `${encode({ alg: 'none' })}.${encode({ sub: '1', exp: 9_999_999_999 })}.`;
    for (const token of [foreign, endless, unsigned, 'x', 'a.b.c', `${foreign}x`]) {
      await expect(tokens.verify(token)).rejects.toMatchObject({ code: 401, type: 'TOKEN_INVALID' });
    }
  });

  it('are not made where the development login is off', () => {
    expect(createTokens({ ...only, devLogin: false }).issue).toBeNull();
  });
});

describe('claims', () => {
  it('need a user id in sub and words in roles', () => {
    expect(callerOfClaims({ sub: '5' })).toEqual({ id: '5', roles: [] });
    for (const claims of [
      {},
      { sub: 'me' },
      { sub: '0' },
      { sub: '9223372036854775808' },
      { sub: '1', roles: 'admin' },
    ]) {
      expect(() => callerOfClaims(claims)).toThrow(/The token does not count: its claim "(sub|roles)" must be/);
    }
  });

  it('let the writer and an admin touch what was written', () => {
    expect(() => mustOwn({ id: '1', roles: [] }, '1', 'article')).not.toThrow();
    expect(() => mustOwn({ id: '2', roles: ['admin'] }, '1', 'article')).not.toThrow();
    expect(() => mustOwn({ id: '2', roles: ['writer'] }, '1', 'article')).toThrow('written by somebody else');
  });
});

describe('the Authorization header', () => {
  it('is a bearer token or missing', () => {
    expect(bearerToken(undefined)).toBeNull();
    expect(bearerToken('Bearer abc')).toBe('abc');
    expect(bearerToken('bearer  abc ')).toBe('abc');
    for (const header of ['', 'Basic abc', 'Bearer', 'Bearer a b']) {
      expect(() => bearerToken(header)).toThrow('Authorization: Bearer <token>');
    }
  });
});

describe('the configuration of tokens', () => {
  it('names exactly one of secret and JWKS address', () => {
    expect(() => createTokens({ ...only, jwtSecret: undefined })).toThrow('neither set');
    expect(() => createTokens({ ...only, jwtJwksUrl: 'http://127.0.0.1:1/' })).toThrow('both set');
  });

  it('has no development login with a JWKS address', () => {
    const config = { jwtSecret: undefined, jwtJwksUrl: 'http://127.0.0.1:1/', devLogin: true };
    expect(() => createTokens(config)).toThrow('allowed: only with HOTBOARD_JWT_SECRET');
  });
});

describe('tokens of a JWKS address', () => {
  let server: Server;
  let address: string;
  let keys: Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];
  let status = 200;

  beforeAll(async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256');
    keys = privateKey;
    const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256' }] });
    server = createServer((_request, response) => response.writeHead(status).end(jwks));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  const signed = (kid = 'one') =>
    new SignJWT({}).setProtectedHeader({ alg: 'ES256', kid }).setSubject('7').setExpirationTime('1h').sign(keys);
  const create = () => createTokens({ jwtSecret: undefined, jwtJwksUrl: address, devLogin: false });

  it('count when one of its keys signed them', async () => {
    const tokens = create();
    expect(await tokens.verify(await signed())).toEqual({ id: '7', roles: [] });
    await expect(tokens.verify(await signed('two'))).rejects.toMatchObject({ code: 401, type: 'TOKEN_INVALID' });
  });

  it('can not be judged before the keys were ever fetched, which may be tried again', async () => {
    status = 500;
    await expect(create().verify(await signed())).rejects.toMatchObject({
      code: 503,
      type: 'IDENTITY_UNAVAILABLE',
      retryable: true,
    });
    status = 200;
  });
});

import { SignJWT } from 'jose';

export interface Answer<Body = Record<string, unknown>> {
  status: number;
  body: Body;
  headers: Headers;
}

/** A client of the gateways with users of its own making (it knows the secret that signs their tokens). */
export class BoardClient {
  readonly #gateways: readonly string[];
  readonly #secret: Uint8Array;
  readonly #tokens = new Map<string, Promise<string>>();
  #turn = 0;

  constructor(gateways: readonly string[], jwtSecret: string) {
    this.#gateways = gateways;
    this.#secret = new TextEncoder().encode(jwtSecret);
  }

  /**
   * One request. The gateways take turns; where one refuses the connection, or breaks it before it answered a request that
   * may be repeated, the next one is asked, as a load balancer would do.
   */
  async request<Body = Record<string, unknown>>(
    method: string,
    path: string,
    options: { userId?: string; body?: unknown; gateway?: string; headers?: Readonly<Record<string, string>> } = {},
  ): Promise<Answer<Body>> {
    const token = options.userId === undefined ? undefined : await this.#tokenOf(options.userId);
    const init: RequestInit = {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
    };
    const candidates =
      options.gateway === undefined
        ? this.#gateways.map((_, index) => this.#gateways[(this.#turn + index) % this.#gateways.length]!)
        : [options.gateway];
    this.#turn++;
    let failure: unknown;
    for (const gateway of candidates) {
      try {
        const response = await fetch(gateway + path, { ...init, signal: AbortSignal.timeout(10_000) });
        const text = await response.text();
        return {
          status: response.status,
          body: (text === '' ? {} : JSON.parse(text)) as Body,
          headers: response.headers,
        };
      } catch (error) {
        failure = error;
        const refused = codeOf(error) === 'ECONNREFUSED';
        if (!refused && method === 'POST') throw error;
      }
    }
    throw failure;
  }

  #tokenOf(userId: string): Promise<string> {
    const known = this.#tokens.get(userId);
    if (known !== undefined) return known;
    const token = new SignJWT({ roles: [] })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(userId)
      .setIssuedAt()
      .setExpirationTime('2h')
      .sign(this.#secret);
    this.#tokens.set(userId, token);
    return token;
  }
}

/** The system's error code behind a failed `fetch`. */
export function codeOf(error: unknown): string | undefined {
  const { code, cause } = (error ?? {}) as { code?: string; cause?: unknown };
  return code ?? (cause === undefined ? undefined : codeOf(cause));
}

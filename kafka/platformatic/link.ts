import { isIP } from 'node:net';
import {
  apiVersionsV1,
  apiVersionsV3,
  Connection,
  type ConnectionOptions,
  type SASLMechanismValue,
} from '@platformatic/kafka';
import { KafkaError } from '../errors.ts';
import type { KafkaConnection } from '../port.ts';

// One connection to one broker: opened with a deadline, its API versions known.

export interface Address {
  host: string;
  port: number;
}

/** One version of a Kafka API, as the client library exports them. */
export interface Api<Answer> {
  (connection: Connection, ...args: never[]): void;
  async: (...args: never[]) => Promise<Answer>;
  key: number;
  version: number;
}

type SupportedVersions = Map<number, { minVersion: number; maxVersion: number }>;

export class Link {
  readonly key: string;
  readonly connection: Connection;
  readonly #supported: SupportedVersions;

  constructor(key: string, connection: Connection, supported: SupportedVersions) {
    this.key = key;
    this.connection = connection;
    this.#supported = supported;
  }

  /** The newest version that both sides speak; `versions` are given newest first. */
  choose<Answer>(versions: readonly Api<Answer>[], what: string): Api<Answer> {
    const range = this.#supported.get(versions[0]!.key);
    const api = range && versions.find(({ version }) => version >= range.minVersion && version <= range.maxVersion);
    if (api) return api;
    const offered = range ? `versions ${range.minVersion} to ${range.maxVersion}` : 'none';
    throw new KafkaError(
      'KAFKA_UNEXPECTED',
      `${what}: broker ${this.key} offers ${offered}, this adapter speaks ${versions.map(({ version }) => version)}`,
      { retryable: false },
    );
  }
}

export async function openLink(settings: KafkaConnection, address: Address, onClose: () => void): Promise<Link> {
  const connectTimeoutMs = settings.connectTimeoutMs ?? 5_000;
  const connection = new Connection(settings.clientId, connectionOptions(settings, address.host, connectTimeoutMs));
  // Without a listener an 'error' event would end the process; what failed is told by the request's own callback.
  connection.on('error', () => undefined);
  connection.on('close', onClose);
  try {
    // The client's own time-out covers the TCP connection only, not a TLS or SASL exchange that hangs.
    await within<void>(connectTimeoutMs + 1_000, `connect to ${keyOf(address)}`, (settle) => {
      connection.connect(address.host, address.port, (error) => settle(error));
    });
    return new Link(keyOf(address), connection, await supportedVersions(connection, connectTimeoutMs));
  } catch (error) {
    connection.socket?.destroy();
    throw error;
  }
}

async function supportedVersions(connection: Connection, deadlineMs: number) {
  const ask = (api: typeof apiVersionsV3.api | typeof apiVersionsV1.api) =>
    within<{ apiKeys: { apiKey: number; minVersion: number; maxVersion: number }[] }>(
      deadlineMs,
      'api versions',
      (settle) => api(connection, 'hotboard', '1', settle as never),
    );
  const answer = await ask(apiVersionsV3.api).catch((error) => {
    if (!isAnswer(error)) throw error;
    return ask(apiVersionsV1.api);
  });
  return new Map(answer.apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, { minVersion, maxVersion }]));
}

function connectionOptions(settings: KafkaConnection, host: string, connectTimeout: number): ConnectionOptions {
  const { tls, sasl } = settings;
  return {
    connectTimeout,
    // Deadlines are this adapter's own (`within`), the client's must never come first.
    requestTimeout: 600_000,
    maxInflights: 100,
    tls: tls ? (tls === true ? {} : tls) : undefined,
    // An IP address is no server name (RFC 6066); the certificate is checked against it all the same.
    tlsServerName: tls ? (tls !== true && tls.servername) || (isIP(host) ? undefined : host) : undefined,
    sasl: sasl && {
      mechanism: sasl.mechanism.toUpperCase() as SASLMechanismValue,
      username: sasl.username,
      password: sasl.password,
    },
  };
}

/** A promise for a callback, with a deadline that does not trust the other side to ever call back. */
export function within<Answer>(
  deadlineMs: number,
  what: string,
  start: (settle: (error: Error | null | undefined, answer?: Answer) => void) => void,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new KafkaError('KAFKA_UNAVAILABLE', `${what}: no answer within ${deadlineMs} ms`, { retryable: true }));
    }, deadlineMs);
    const settle = (error: Error | null | undefined, answer?: Answer) => {
      clearTimeout(timer);
      if (error) reject(error);
      else resolve(answer as Answer);
    };
    try {
      start(settle);
    } catch (error) {
      settle(error as Error);
    }
  });
}

/** Whether the error is a broker's answer (so the connection is sound), not the lack of one. */
export function isAnswer(error: unknown): boolean {
  return (error as { code?: string } | null)?.code === 'PLT_KFK_RESPONSE';
}

export function parseAddress(broker: string): Address {
  const at = broker.lastIndexOf(':');
  const port = Number(broker.slice(at + 1));
  if (at < 1 || !Number.isInteger(port) || port < 1 || port > 65535) {
    throw new KafkaError('KAFKA_BAD_ARGUMENT', `broker must be host:port, got "${broker}"`, { retryable: false });
  }
  return { host: broker.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port };
}

export function keyOf({ host, port }: Address): string {
  return `${host}:${port}`;
}

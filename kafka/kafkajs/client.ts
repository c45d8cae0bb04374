import net from 'node:net';
import tls from 'node:tls';
import kafkajs, { type Kafka as KafkaClient, type logCreator, type RetryOptions } from 'kafkajs';
import type { KafkaConnection, Logger } from '../port.ts';
import './idle-timers.ts';

const { Kafka, logLevel } = kafkajs;

/** A kafkajs client of its own for each producer, consumer and admin. */
export interface Client {
  readonly kafka: KafkaClient;
  /**
   * Ends it at once: open sockets are destroyed, calls in progress fail, and it can never connect again. kafkajs knows no
   * way to give up a call; without this an abandoned `sendBatch` would reconnect and send its batch much later.
   */
  kill(): void;
  readonly killed: boolean;
}

export interface ClientOptions {
  requestTimeoutMs: number;
  /** Given in full: kafkajs takes other defaults where NODE_ENV is "test". */
  retry: Required<Pick<RetryOptions, 'retries' | 'initialRetryTime' | 'maxRetryTime' | 'multiplier' | 'factor'>>;
}

/**
 * One client for each user, never shared: kafkajs keeps a group's offsets in the client (`committedOffsets`), so that two
 * members of one group on one client overwrite each other's.
 */
export function createClient(connection: KafkaConnection, options: ClientOptions): Client {
  const sockets = new Set<net.Socket>();
  let killed = false;
  const { tls: ssl, sasl } = connection;

  const kafka = new Kafka({
    clientId: connection.clientId,
    brokers: [...connection.brokers],
    ssl: ssl || undefined,
    sasl: sasl && { mechanism: sasl.mechanism as 'plain', username: sasl.username, password: sasl.password },
    connectionTimeout: connection.connectTimeoutMs ?? 3000,
    requestTimeout: options.requestTimeoutMs,
    enforceRequestTimeout: true,
    retry: options.retry,
    logLevel: connection.logger ? logLevel.INFO : logLevel.NOTHING,
    logCreator: logTo(connection.logger, () => killed),
    socketFactory: ({ host, port, ssl: settings, onConnect }) => {
      if (killed) throw new Killed();
      const socket = settings
        ? tls.connect({ host, port, ...(net.isIP(host) ? {} : { servername: host }), ...settings }, onConnect)
        : net.connect({ host, port }, onConnect);
      socket.setKeepAlive(true, 60_000);
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      return socket;
    },
  });

  return {
    kafka,
    get killed() {
      return killed;
    },
    kill() {
      killed = true;
      // With an error: kafkajs listens to "error" and "end" only, not to "close".
      for (const socket of sockets) socket.destroy(new Error('The Kafka port closed this connection'));
    },
  };
}

/** Lets `close` have its way for a moment, then ends the client in any case. Never throws. */
export async function closeClient(client: Client, close: () => Promise<unknown>, limitMs = 2000): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  await Promise.race([close().catch(() => {}), limit]);
  clearTimeout(timer);
  client.kill();
}

/**
 * Ends kafkajs's retry loops: they go on after connection errors, but not after a TypeError (src/retry). kafkajs wraps what
 * a socket factory throws into a connection error by reading its `message`, so it is that reading which throws.
 */
class Killed extends Error {
  override get message(): string {
    throw new TypeError('This Kafka client is closed');
  }
}

/**
 * kafkajs reports as errors what it then tries again, and every answer with an error in it; whatever fails in the end is
 * thrown, and reported by the port's user. So errors come out as warnings, those and all the rest as debug lines.
 */
function logTo(logger: Logger | undefined, ended: () => boolean): logCreator {
  return () =>
    ({ level, namespace, log }) => {
      if (!logger || ended()) return;
      const { message, timestamp: _timestamp, logger: _logger, stack: _stack, ...details } = log;
      const line = `kafkajs ${namespace || 'client'}: ${message}`;
      const retried = 'retryCount' in details || 'retryTime' in details || namespace === 'Connection';
      if (level === logLevel.ERROR && !retried) logger.warn(line, details);
      else logger.debug(line, details);
    };
}

import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { metadataV12 } from '@platformatic/kafka';
import { Wire } from './wire.ts';

/** A broker that is stopped: its machine takes connections, and nobody answers. */
class FrozenBroker {
  readonly #server: Server = createServer((socket) => this.#sockets.push(socket));
  readonly #sockets: Socket[] = [];

  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  get connections(): number {
    return this.#sockets.length;
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

describe('a request to a frozen broker', () => {
  let frozen: FrozenBroker[];
  let wire: Wire;
  let brokers: string[];

  beforeEach(async () => {
    frozen = [new FrozenBroker(), new FrozenBroker()];
    brokers = await Promise.all(frozen.map((broker) => broker.start()));
    wire = new Wire({ clientId: 'test', brokers, connectTimeoutMs: 60_000, requestTimeoutMs: 60_000 });
  });
  afterEach(() => {
    wire.close();
    for (const broker of frozen) broker.stop();
  });

  const ask = (target: number | 'any') =>
    wire.request(target, 'ask', [metadataV12.api], [[], false, false], { deadlineMs: 1000 });

  it('waits for a connection no longer than for the answer, however long connecting may take', async () => {
    const [host, port] = brokers[0]!.split(':');
    wire.learnBroker(1, { host: host!, port: Number(port) });
    await expect(ask(1)).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE', retryable: true });
  }, 30_000); // less than connecting may take

  it('that any broker may answer tries each of them within its time', async () => {
    await expect(ask('any')).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE' });
    expect(frozen.map(({ connections }) => connections)).toEqual([1, 1]);
  }, 30_000); // less than connecting may take
});

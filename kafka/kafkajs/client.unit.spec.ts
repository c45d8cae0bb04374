import net, { type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../../testing/until.ts';
import { type ClientOptions, closeClient, createClient } from './client.ts';

const options: ClientOptions = {
  requestTimeoutMs: 60_000,
  retry: { retries: 20, initialRetryTime: 50, maxRetryTime: 100, multiplier: 1, factor: 0 },
};

/** A server that takes what it is sent and never answers. */
let server: Server;
let sockets: Socket[];
let received: Buffer;

beforeEach(async () => {
  sockets = [];
  received = Buffer.alloc(0);
  server = net.createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

function clientOf(settings: Partial<Parameters<typeof createClient>[0]> = {}) {
  const brokers = [`127.0.0.1:${(server.address() as net.AddressInfo).port}`];
  return createClient({ brokers, clientId: 'test', ...settings }, options);
}

describe('kafkajs client', () => {
  it('ends calls that wait for an answer when it is killed, and their retries too', async () => {
    const client = clientOf();
    const producer = client.kafka.producer({ allowAutoTopicCreation: false });
    const call = producer.connect().then(
      () => 'connected',
      (error: Error) => error.name,
    );
    await eventually(() => received.length > 0);
    client.kill();
    expect(client.killed).toBe(true);
    const killedMs = performance.now();
    expect(await call).not.toBe('connected');
    expect(performance.now() - killedMs).toBeLessThan(20_000); // its time-out is a minute
    expect(sockets).toHaveLength(1);
  });

  it('speaks TLS where it is told to', async () => {
    const client = clientOf({ tls: { rejectUnauthorized: false, servername: 'kafka.example' } });
    const producer = client.kafka.producer();
    const call = producer.connect().catch(() => {});
    await eventually(() => received.length > 100);
    client.kill();
    await call;
    expect(received[0]).toBe(0x16); // a TLS handshake
    expect(received.includes('kafka.example')).toBe(true);
  });

  it('speaks plainly elsewhere, and closes within the limit although nobody answers', async () => {
    const client = clientOf();
    const producer = client.kafka.producer();
    const call = producer.connect().catch(() => {});
    await eventually(() => received.length > 0);
    expect(received[0]).toBe(0);
    const startedMs = performance.now();
    await closeClient(client, () => producer.disconnect(), 50);
    expect(performance.now() - startedMs).toBeLessThan(20_000);
    await call;
  });

  it('tells its log what kafkajs retries as details only, and nothing once it is ended', async () => {
    const lines: string[] = [];
    const note = (level: string) => (line: unknown) => lines.push(`${level} ${String(line)}`);
    const logger = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
    const client = clientOf({ brokers: ['127.0.0.1:1'], logger });
    const call = client.kafka
      .admin()
      .connect()
      .catch(() => {});
    await eventually(() => lines.length > 2);
    client.kill();
    const before = lines.length;
    await call;
    expect(lines.filter((line) => !line.startsWith('debug'))).toEqual([]);
    expect(lines).toHaveLength(before);
  });
});

import net, { type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../../testing/until.ts';
import { advertise } from './kafka-proxy.ts';
import { kafkaApi, watchRequests } from './kafka-requests.ts';
import { decide } from './mode.ts';
import { reset, TcpProxy } from './proxy.ts';

/** A server that says every chunk back, a proxy before it, and a client. */
let server: Server;
let serverSockets: Socket[];
let received: string;
let proxy: TcpProxy;
const clients: Socket[] = [];

beforeEach(async () => {
  received = '';
  serverSockets = [];
  server = net.createServer((socket) => {
    serverSockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      received += chunk;
      socket.write(chunk);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy = await TcpProxy.start({ target: targetOf(server) });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await proxy.stop();
  for (const socket of serverSockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

describe('TCP proxy', () => {
  it('passes bytes both ways and the end of a stream', async () => {
    const client = await connect();
    client.socket.write('hello');
    await eventually(() => client.text === 'hello');
    client.socket.end();
    await eventually(() => client.ended && proxy.connections === 0);
  });

  it('resets a connection whose end is on its way, and leaves no handle behind', async () => {
    const client = await connect(targetOf(server).port);
    client.socket.end();
    reset(client.socket);
    await eventually(() => client.closed);
    expect(client.error).toBeNull();
  });

  it('passes megabytes whole and in order', async () => {
    const client = await connect();
    const sent = Array.from({ length: 400_000 }, (_, index) => `${index},`).join('');
    client.socket.write(sent);
    await eventually(() => client.text.length === sent.length);
    expect(client.text).toBe(sent);
  });

  it('delays every byte', async () => {
    const client = await connect();
    proxy.set({ mode: 'delay', ms: 80 });
    const startedMs = performance.now();
    client.socket.write('a');
    await eventually(() => client.text === 'a');
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(155);
  });

  it('swallows answers while requests arrive, and resets that connection when it heals', async () => {
    const client = await connect();
    proxy.set({ mode: 'swallow' });
    client.socket.write('lost answer');
    await eventually(() => received === 'lost answer');
    const other = await connect();
    proxy.set({ mode: 'pass' });
    await eventually(() => client.closed);
    expect(client.text).toBe('');
    other.socket.write('later');
    await eventually(() => other.text === 'later');
  });

  it('holds one direction and releases it in order', async () => {
    const client = await connect();
    proxy.set({ mode: 'hold', direction: 'answers' });
    client.socket.write('a');
    await eventually(() => received === 'a');
    client.socket.write('b');
    await eventually(() => received === 'ab');
    expect(client.text).toBe('');
    proxy.set({ mode: 'pass' });
    await eventually(() => client.text === 'ab');
  });

  it('accepts connections and forwards nothing while half open', async () => {
    proxy.set({ mode: 'half-open' });
    const client = await connect();
    client.socket.write('a');
    await eventually(() => proxy.accepted === 1);
    expect(serverSockets).toHaveLength(0);
    proxy.set({ mode: 'pass' });
    await eventually(() => client.text === 'a');
  });

  it('resets open and new connections', async () => {
    const open = await connect();
    proxy.set({ mode: 'reset' });
    await eventually(() => open.closed);
    expect(open.error).toBe('ECONNRESET');
    // The reset can arrive before the client noticed that it was connected.
    const fresh = await connect().catch((error: NodeJS.ErrnoException) => ({ closed: true, error: error.code }));
    await eventually(() => fresh.closed);
    expect(fresh.error).toBe('ECONNRESET');
  });

  it('limits the speed', async () => {
    const client = await connect();
    proxy.set({ mode: 'limit', bytesPerSecond: 500_000 });
    const startedMs = performance.now();
    client.socket.write(Buffer.alloc(150_000));
    await eventually(() => client.bytes === 150_000);
    expect(performance.now() - startedMs).toBeGreaterThan(150);
  });

  it('refuses connections and listens on the same port again', async () => {
    const { port } = proxy;
    await proxy.refuse();
    await expect(connect()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await proxy.listen();
    expect(proxy.port).toBe(port);
    const client = await connect();
    client.socket.write('a');
    await eventually(() => client.text === 'a');
  });

  it('resets the client where the target does not answer', async () => {
    const lonely = await TcpProxy.start({ target: { host: '127.0.0.1', port: 1 } });
    const client = await connect(lonely.port);
    await eventually(() => client.closed);
    await lonely.stop();
  });

  it('refuses a mode that makes no sense', () => {
    expect(() => proxy.set({ mode: 'limit', bytesPerSecond: 0 })).toThrow('bytesPerSecond is 0; allowed');
    expect(() => proxy.set({ mode: 'delay', ms: -1 })).toThrow('ms is -1; allowed');
  });
});

describe('modes', () => {
  it('swallow and hold touch the direction that is named', () => {
    expect(decide({ mode: 'swallow' }, 'requests', 0, 0).kind).toBe('forward');
    expect(decide({ mode: 'swallow', direction: 'requests' }, 'requests', 0, 0).kind).toBe('drop');
    expect(decide({ mode: 'hold' }, 'requests', 0, 0).kind).toBe('wait');
    expect(decide({ mode: 'hold', direction: 'answers' }, 'requests', 0, 0).kind).toBe('forward');
  });
});

describe('Kafka answers', () => {
  const answer = (bytes: Buffer) => Buffer.concat([sizeOf(bytes), bytes]);
  const sizeOf = (bytes: Buffer) => {
    const size = Buffer.alloc(4);
    size.writeUInt32BE(bytes.length);
    return size;
  };
  const address = (host: string, port: number) => {
    const bytes = Buffer.alloc(host.length + 4);
    bytes.write(host);
    bytes.writeUInt32BE(port, host.length);
    return bytes;
  };

  it('name the proxies instead of the brokers, however the stream is cut', () => {
    const ports = new Map([
      ['127.0.0.1:9092', 1111],
      ['127.0.0.1:9093', 2222],
    ]);
    const stream = (a: number, b: number) =>
      Buffer.concat([
        answer(Buffer.concat([address('127.0.0.1', a), Buffer.from('x'), address('127.0.0.1', b)])),
        answer(Buffer.alloc(100_000, 'z')),
        answer(address('127.0.0.1', a)),
        answer(address('127.0.0.2', 9092)),
      ]);
    for (const size of [1, 5, 33, 70_000, 1_000_000]) {
      const rewrite = advertise(ports);
      const out: Buffer[] = [];
      const sent = stream(9092, 9093);
      for (let at = 0; at < sent.length; at += size) out.push(rewrite(sent.subarray(at, at + size)));
      expect(Buffer.concat(out).equals(stream(1111, 2222))).toBe(true);
    }
  });
});

describe('Kafka requests', () => {
  it('are told by their api key, however the stream is cut', () => {
    const frame = (apiKey: number, bodyBytes: number) => {
      const bytes = Buffer.alloc(4 + 2 + bodyBytes);
      bytes.writeUInt32BE(2 + bodyBytes, 0);
      bytes.writeInt16BE(apiKey, 4);
      return bytes;
    };
    const stream = Buffer.concat([frame(kafkaApi.produce, 100), frame(kafkaApi.endTxn, 0), frame(kafkaApi.fetch, 7)]);
    for (const size of [1, 3, 7, 1000]) {
      const seen: number[] = [];
      const inspect = watchRequests((apiKey) => seen.push(apiKey));
      for (let at = 0; at < stream.length; at += size) inspect(stream.subarray(at, at + size), 'requests', 1);
      inspect(stream, 'answers', 1);
      expect(seen).toEqual([0, 26, 1]);
    }
  });

  it('let a test break the network at a certain request', async () => {
    const seen: number[] = [];
    const guarded = await TcpProxy.start({
      target: targetOf(server),
      inspect: watchRequests((apiKey) => {
        seen.push(apiKey);
        guarded.set({ mode: 'swallow' });
      }),
    });
    const client = await connect(guarded.port);
    client.socket.write(Buffer.from([0, 0, 0, 2, 0, 26]));
    await eventually(() => received.length === 6);
    await guarded.stop();
    expect(seen).toEqual([26]);
    expect(client.bytes).toBe(0);
  });
});

interface TestClient {
  socket: Socket;
  text: string;
  bytes: number;
  ended: boolean;
  closed: boolean;
  error: string | null;
}

async function connect(port = proxy.port): Promise<TestClient> {
  const socket = net.connect({ host: '127.0.0.1', port });
  clients.push(socket);
  const client: TestClient = { socket, text: '', bytes: 0, ended: false, closed: false, error: null };
  socket.on('data', (chunk) => {
    client.text += chunk;
    client.bytes += chunk.length;
  });
  socket.on('end', () => {
    client.ended = true;
  });
  socket.on('close', () => {
    client.closed = true;
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    client.error = error.code ?? null;
  });
  return client;
}

function targetOf(listening: Server): { host: string; port: number } {
  return { host: '127.0.0.1', port: (listening.address() as net.AddressInfo).port };
}

import net, { type Server, type Socket } from 'node:net';
import { freePorts } from '../../stack/ports.ts';
import { Lane } from './lane.ts';
import type { Direction, ProxyMode } from './mode.ts';

export interface ProxyOptions {
  target: { host: string; port: number };
  /** Default: 127.0.0.1 and a free port. */
  listen?: { host?: string; port?: number };
  /** Sees every chunk before the proxy decides about it; may call `set` (see `kafka-requests.ts`). */
  inspect?(chunk: Buffer, direction: Direction, connection: number): void;
  /** For each connection: changes the stream of answers (see `kafka-proxy.ts`). May keep bytes for later. */
  rewriteAnswers?(): (chunk: Buffer) => Buffer;
}

/**
 * A TCP proxy inside the process, for tests that need a broken network. It listens on a port and forwards to a target, and
 * breaks what goes through it as `set` says. Connections that lost bytes are reset when the mode changes, since no network
 * loses bytes in the midst of a stream and goes on.
 */
export class TcpProxy {
  readonly #options: ProxyOptions;
  readonly #links = new Set<Link>();
  #server: Server | null = null;
  #mode: ProxyMode = { mode: 'pass' };
  #port = 0;
  #accepted = 0;

  private constructor(options: ProxyOptions) {
    this.#options = options;
  }

  /** Throws what `listen` throws, e.g. EADDRINUSE. */
  static async start(options: ProxyOptions): Promise<TcpProxy> {
    const proxy = new TcpProxy(options);
    await proxy.listen();
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  get mode(): ProxyMode {
    return this.#mode;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#links.size;
  }

  /** Connections that were ever accepted. */
  get accepted(): number {
    return this.#accepted;
  }

  set(mode: ProxyMode): void {
    if (mode.mode === 'limit' && !(mode.bytesPerSecond > 0)) {
      throw new RangeError(`bytesPerSecond is ${mode.bytesPerSecond}; allowed: a number above 0`);
    }
    if (mode.mode === 'delay' && !(mode.ms >= 0)) throw new RangeError(`ms is ${mode.ms}; allowed: a number from 0`);
    const before = this.#mode;
    this.#mode = mode;
    for (const link of this.#links) link.modeChanged(before, mode);
  }

  /** Resets all open connections, whatever the mode. */
  cut(): void {
    for (const link of this.#links) link.reset();
  }

  /** Listens again, on the same port, after `refuse`. */
  async listen(): Promise<void> {
    if (this.#server) return;
    const { host = '127.0.0.1', port } = this.#options.listen ?? {};
    const place = this.#port || port || (await freePorts(1))[0];
    const server = net.createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(place, host, resolve);
    });
    this.#server = server;
    this.#port = (server.address() as net.AddressInfo).port;
  }

  /** Nobody listens any more: connections are refused, open ones are reset. */
  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    this.cut();
    if (server) await new Promise((resolve) => server.close(resolve));
  }

  async stop(): Promise<void> {
    await this.refuse();
  }

  #accept(client: Socket): void {
    const number = ++this.#accepted;
    const { target, inspect, rewriteAnswers } = this.#options;
    const link: Link = new Link(client, {
      target,
      mode: () => this.#mode,
      inspect: inspect && ((chunk, direction) => inspect(chunk, direction, number)),
      rewrite: rewriteAnswers?.(),
      onClosed: () => this.#links.delete(link),
    });
    this.#links.add(link);
    link.modeChanged(this.#mode, this.#mode);
  }
}

interface LinkOptions {
  target: { host: string; port: number };
  mode: () => ProxyMode;
  inspect: ((chunk: Buffer, direction: Direction) => void) | undefined;
  rewrite: ((chunk: Buffer) => Buffer) | undefined;
  onClosed(): void;
}

/** A client's connection and the one to the target that belongs to it. */
class Link {
  readonly #options: LinkOptions;
  readonly #client: Socket;
  readonly #requests: Lane;
  #answers: Lane | null = null;
  #upstream: Socket | null = null;

  constructor(client: Socket, options: LinkOptions) {
    this.#client = client;
    this.#options = options;
    this.#requests = new Lane('requests', client, options.mode, options.inspect);
    this.#watch(client);
  }

  modeChanged(before: ProxyMode, mode: ProxyMode): void {
    const lossy = this.#requests.lossy || this.#answers?.lossy;
    const sameLoss = before.mode === 'swallow' && mode.mode === 'swallow' && before.direction === mode.direction;
    if (mode.mode === 'reset' || (lossy && !sameLoss)) this.reset();
    else if (mode.mode !== 'half-open') {
      this.#connect();
      this.#requests.retime();
      this.#answers?.retime();
    }
  }

  reset(): void {
    for (const socket of [this.#client, this.#upstream]) if (socket && !socket.destroyed) reset(socket);
    this.#close();
  }

  #connect(): void {
    if (this.#upstream || this.#client.destroyed) return;
    const upstream = net.connect({ ...this.#options.target, allowHalfOpen: true });
    this.#upstream = upstream;
    this.#watch(upstream);
    const { mode, inspect, rewrite } = this.#options;
    this.#answers = new Lane('answers', upstream, mode, inspect, rewrite);
    this.#answers.connect(this.#client);
    upstream.once('connect', () => this.#requests.connect(upstream));
  }

  #watch(socket: Socket): void {
    socket.setNoDelay(true);
    socket.on('error', () => this.reset());
    socket.on('close', () => {
      const both = this.#client.destroyed && (this.#upstream?.destroyed ?? true);
      if (both) this.#close();
    });
  }

  #close(): void {
    this.#requests.stop();
    this.#answers?.stop();
    this.#options.onClosed();
  }
}

/**
 * Where the socket's end is on its way libuv refuses a reset, and Node then keeps the handle for ever: the process spins at its own end
 * (seen with Node 24). So it is closed there, which tells the other side as much.
 */
export function reset(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}

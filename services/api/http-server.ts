import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, Server as NetServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

export interface HttpServerOptions {
  host: string;
  /** 0 takes a free one. */
  port: number;
  handler(request: IncomingMessage, response: ServerResponse): void;
}

/** Longest time in which a client may send a request. */
const requestTimeoutMs = 30_000;
/** Longer than the usual 60 s of a load balancer, so that it is the one that closes an idle connection. */
const keepAliveTimeoutMs = 65_000;
/** On a stop, an idle connection gets so long for one more request, which is told that it was the last. */
const farewellMs = 500;

/** The gateway's HTTP server: it listens when told to, and ends without breaking off a request. */
export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #server: Server;
  #draining: Promise<void> | undefined;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#server = createServer({ requestTimeout: requestTimeoutMs, keepAliveTimeout: keepAliveTimeoutMs });
    this.#server.on('request', (request, response) => {
      if (this.#draining !== undefined) response.setHeader('connection', 'close');
      options.handler(request, response);
    });
  }

  get listening(): boolean {
    return this.#server.listening && this.#draining === undefined;
  }

  /** Answers the port. Rejects with one line that names the taken port and the variable for another one. */
  async listen(): Promise<number> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        const taken = `Port ${port} on ${host} is taken: HOTBOARD_HTTP_PORT names another one for the gateway.`;
        reject(error.code === 'EADDRINUSE' ? new Error(taken, { cause: error }) : error);
      });
      this.#server.listen(port, host, resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  /**
   * Takes no more connections, answers what is under way (and what still arrives on open connections, with `Connection:
   * close`), then closes. After `deadlineMs` whatever is left is cut off.
   */
  drain(deadlineMs: number): Promise<void> {
    this.#draining ??= this.#drain(deadlineMs);
    return this.#draining;
  }

  async #drain(deadlineMs: number): Promise<void> {
    if (!this.#server.listening) return;
    // Server.close of node:http would cut idle connections at once, a request just on its way with them.
    const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(this.#server, () => resolve()));
    const started = performance.now();
    const passed = () => performance.now() - started;
    const done = closed.then(() => true);
    while (!(await Promise.race([done, pause(20, false)]))) {
      if (passed() >= deadlineMs) this.#server.closeAllConnections();
      else if (passed() >= Math.min(farewellMs, deadlineMs / 2)) this.#server.closeIdleConnections();
    }
    this.#server.close(() => undefined);
  }
}

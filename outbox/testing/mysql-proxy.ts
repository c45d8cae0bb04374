import { connect, createServer, type Server, type Socket } from 'node:net';
import { freePorts } from '../../stack/ports.ts';

/**
 * Stands between a client and MySQL and cuts the connection once, at a statement: before it reaches the server, or when
 * the server has carried it out and its answer is on the way back.
 */
export class MysqlProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut: { statement: string; when: 'before' | 'after' } | null = null;
  cuts = 0;
  port = 0;

  private constructor(target: { host: string; port: number }) {
    this.#server = createServer((client) => this.#serve(client, connect(target)));
  }

  static async start(mysqlUrl: string, listenOn?: number): Promise<MysqlProxy> {
    const { hostname, port } = new URL(mysqlUrl);
    const listenPort = listenOn ?? (await freePorts(1))[0]!; // one that is still free when it is to listen again
    const proxy = new MysqlProxy({ host: hostname, port: Number(port || 3306) });
    await new Promise<void>((resolve) => proxy.#server.listen(listenPort, '127.0.0.1', resolve));
    proxy.port = (proxy.#server.address() as { port: number }).port;
    return proxy;
  }

  /** The next connection that sends a packet with this text is cut. */
  cutAt(statement: string, when: 'before' | 'after'): void {
    this.#cut = { statement, when };
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(client: Socket, server: Socket): void {
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
    }
    let dropAnswer = false;
    const end = () => {
      client.destroy();
      server.destroy();
    };
    client.on('data', (data) => {
      if (this.#cut && data.includes(this.#cut.statement)) {
        const { when } = this.#cut;
        this.#cut = null;
        this.cuts++;
        if (when === 'before') return end();
        dropAnswer = true;
      }
      server.write(data);
    });
    server.on('data', (data) => {
      if (dropAnswer) end();
      else client.write(data);
    });
    client.on('close', end);
    server.on('close', end);
  }
}

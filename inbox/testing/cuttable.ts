import { connect, createServer, type Socket } from 'node:net';

export interface Cuttable {
  port: number;
  /** Ends all connections and refuses new ones. */
  cut(): void;
  restore(): void;
  close(): Promise<void>;
}

/** A way to a server that can be cut, as if the server were gone. */
export async function cuttable(target: { host: string; port: number }): Promise<Cuttable> {
  let open = true;
  const sockets = new Set<Socket>();
  const server = createServer((inner) => {
    if (!open) {
      inner.resetAndDestroy();
      return;
    }
    const outer = connect(target);
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const destroyAll = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port: (server.address() as { port: number }).port,
    cut() {
      open = false;
      destroyAll();
    },
    restore() {
      open = true;
    },
    async close() {
      destroyAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

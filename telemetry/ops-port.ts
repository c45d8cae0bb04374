import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Middleware, ServiceBroker } from 'moleculer';
import type { OpsMetricsReporter } from './metrics-reporter.ts';
import { readinessOf } from './readiness.ts';

export interface OpsPortOptions {
  host: string;
  /** 0 takes a free one; the port that was taken is `broker.metadata.opsPort`. */
  port: number;
  reporter: OpsMetricsReporter;
  /** Shown beside the checks of `/health/ready`, without a say in them. */
  details?(): Record<string, unknown>;
}

/**
 * Moleculer middleware: an HTTP server for each node with `/metrics`, `/health/live` and `/health/ready`. It answers from
 * before the services start until after they stopped, so that a start that hangs can be seen.
 */
export function opsPort(options: OpsPortOptions): Middleware {
  let server: Server | undefined;
  return {
    name: 'OpsPort',
    async starting(broker: ServiceBroker) {
      server = createServer((request, response) => {
        answer(broker, options, request.url ?? '/', response).catch((error) => {
          broker.logger.error('The ops port failed to answer', error);
          send(response, 500, { error: 'INTERNAL' });
        });
      });
      await listen(server, options);
      broker.metadata.opsPort = (server.address() as AddressInfo).port;
    },
    async stopped() {
      const closing = server;
      server = undefined;
      if (closing === undefined) return;
      closing.closeAllConnections();
      await new Promise((resolve) => closing.close(resolve));
    },
  };
}

async function answer(
  broker: ServiceBroker,
  { reporter, details }: OpsPortOptions,
  url: string,
  response: ServerResponse,
) {
  switch (url.split('?')[0]) {
    case '/metrics':
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(reporter.text());
      return;
    case '/health/live':
      send(response, 200, { status: 'live', nodeId: broker.nodeID, uptimeS: Math.round(process.uptime()) });
      return;
    case '/health/ready': {
      const { ready, checks } = await readinessOf(broker);
      send(response, ready ? 200 : 503, {
        status: ready ? 'ready' : 'not ready',
        nodeId: broker.nodeID,
        checks,
        ...details?.(),
      });
      return;
    }
    default:
      send(response, 404, { error: 'NOT_FOUND', allowed: ['/metrics', '/health/live', '/health/ready'] });
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function listen(server: Server, { host, port }: OpsPortOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new Error(`Port ${port} on ${host} is taken: HOTBOARD_OPS_PORT names another one for /metrics and /health.`)
          : error,
      );
    });
    server.listen(port, host, resolve);
  });
}

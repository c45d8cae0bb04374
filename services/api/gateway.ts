import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Type } from '@sinclair/typebox';
import type { Context, Service, ServiceSchema } from 'moleculer';
import ApiGateway from 'moleculer-web';
import type { Config } from '../../config/load.ts';
import { type CallerMeta, tokenMissing } from '../../identity/caller.ts';
import { bearerToken, createTokens } from '../../identity/tokens.ts';
import { type ReadinessCheck, readinessOf } from '../../telemetry/readiness.ts';
import { actionParams, Id64, type ParamsOf } from '../../validation/fields.ts';
import { answer, answerText } from './answer.ts';
import { failureOf } from './failure.ts';
import { HttpServer } from './http-server.ts';
import { pageFolder, pageOptions } from './page.ts';
import { RecentAnswers } from './recent-answers.ts';
import {
  actionParamsOf,
  isPlainRead,
  isTooLarge,
  keyOf,
  maxBodyBytes,
  mustBeJson,
  type RequestParts,
  requestIdOf,
  waitParamsOf,
} from './request.ts';
import { developmentRoutes, type RouteSpec, routes } from './routes.ts';
import { traceparentOf } from './traceparent.ts';

/** What moleculer-web adds to a request while it is routed. */
interface RoutedRequest extends IncomingMessage {
  body?: unknown;
  originalUrl?: string;
  parsedUrl?: string;
  $ctx?: Context<unknown, GatewayMeta>;
  $alias?: { line?: string };
  $params?: unknown;
}

interface GatewayMeta extends CallerMeta {
  traceparent?: string;
  consistencyToken?: string;
  idempotencyKey?: string;
  idempotencyReplayed?: boolean;
}

interface Alias {
  line?: string;
  method: string;
  re: RegExp;
}

type GatewayInstance = Service & {
  aliases: Alias[];
  http: HttpServer;
  recent: RecentAnswers;
  open(): Promise<void>;
  close(): Promise<void>;
  fail(request: RoutedRequest, response: ServerResponse, error: unknown): void;
  methodsAt(path: string): string[];
  receive(request: RoutedRequest, response: ServerResponse): void;
  httpHandler(request: IncomingMessage, response: ServerResponse): void;
};

const issueTokenParams = actionParams({
  userId: Id64,
  roles: Type.Optional(Type.Array(Type.String({ pattern: '^[a-z][a-z-]{0,31}$' }), { maxItems: 10 })),
});

/** An answer that is the same for all is given again for so long. */
const recentMs = 20;
/** A share of what a node has for its drain: after it, requests that are still open are cut off. Services need the rest. */
const drainShare = 0.4;

/**
 * The gateway: moleculer-web behind a server of its own (it listens only when all services of the node have started, and
 * stops taking requests before any of them stops), restricted to the routes of routes.ts. Errors are `ConfigError` where the
 * tokens are configured wrongly.
 */
export function gatewayService(config: Config): ServiceSchema {
  const tokens = createTokens(config);
  const specs: Readonly<Record<string, RouteSpec>> = tokens.issue ? { ...routes, ...developmentRoutes } : routes;
  const specOf = (request: RoutedRequest) => specs[request.$alias?.line ?? ''];

  async function prepare(ctx: Context<unknown, GatewayMeta>, request: RoutedRequest): Promise<void> {
    const { caller, waits, idempotencyKey, ...kinds } = specOf(request)!;
    if (caller !== 'none') {
      const token = bearerToken(request.headers.authorization);
      if (token === null && caller === 'required') throw tokenMissing();
      ctx.meta.user = token === null ? null : await tokens.verify(token);
    }
    const key = request.headers['idempotency-key'];
    if (idempotencyKey && key !== undefined) ctx.meta.idempotencyKey = keyOf(key);
    mustBeJson(request, request.body);
    const params = actionParamsOf(request.$params as RequestParts, kinds);
    request.$params = waits ? { ...waitParamsOf(request), ...params } : params;
  }

  /** A POST is not repeated by Moleculer's retries: it may have happened. */
  const apiRoute = (name: string, takes: (line: string) => boolean, callOptions: object) => ({
    name,
    path: '/v1',
    mappingPolicy: 'restrict',
    mergeParams: false,
    logging: false,
    bodyParsers: { json: { limit: maxBodyBytes, inflate: false } },
    callOptions,
    aliases: Object.fromEntries(
      Object.keys(specs)
        .filter(takes)
        .map((line) => [line, { action: specs[line]!.action, line }]),
    ),
    onBeforeCall: (ctx: Context<unknown, GatewayMeta>, _route: unknown, request: RoutedRequest) =>
      prepare(ctx, request),
  });

  const schema: ServiceSchema<Record<string, unknown>, object, object, GatewayInstance> = {
    name: 'api',
    mixins: [ApiGateway as unknown as Partial<ServiceSchema>],
    settings: {
      $secureSettings: ['routes', 'rootCallOptions', 'onError'],
      server: false,
      logRouteRegistration: null,
      logRequestParams: null,
      qsOptions: { parameterLimit: 50, depth: 1 },
      rootCallOptions(options: { requestID?: string; meta?: GatewayMeta; retries?: number }, request: IncomingMessage) {
        // The retry policy is for the actions behind: a request can be read and routed only once.
        options.retries = 0;
        options.requestID = requestIdOf(request.headers['x-request-id'], randomUUID);
        options.meta = { traceparent: traceparentOf(request.headers.traceparent) };
      },
      routes: [
        apiRoute('once', (line) => line.startsWith('POST '), { retries: 0 }),
        apiRoute('repeatable', (line) => !line.startsWith('POST '), {}),
        {
          path: '/health',
          mappingPolicy: 'restrict',
          logging: false,
          bodyParsers: false,
          aliases: {
            'GET /live'(this: GatewayInstance, _request: IncomingMessage, response: ServerResponse) {
              answer(response, 200, { status: 'live', nodeId: this.broker.nodeID });
            },
            async 'GET /ready'(this: GatewayInstance, _request: IncomingMessage, response: ServerResponse) {
              const { ready, checks } = await readinessOf(this.broker);
              answer(response, ready ? 200 : 503, {
                status: ready ? 'ready' : 'not ready',
                nodeId: this.broker.nodeID,
                // Their details are for the ops port: anybody may ask here.
                checks: checks.map((check) => ({ name: check.name, ready: check.ready })),
              });
            },
          },
        },
        {
          path: '/',
          mappingPolicy: 'restrict',
          logging: false,
          bodyParsers: false,
          use: [ApiGateway.serveStatic(pageFolder, pageOptions)],
          aliases: {},
        },
      ],
      onError(this: GatewayInstance, request: RoutedRequest, response: ServerResponse, error: unknown) {
        this.fail(request, response, error);
      },
    },

    actions: {
      listAliases: false,
      addRoute: false,
      removeRoute: false,
      ...(tokens.issue === null
        ? {}
        : {
            /** `{ userId, roles? }` → `{ token }`: a token for anybody. For development only. */
            issueToken: {
              params: issueTokenParams,
              async handler(ctx: Context<ParamsOf<typeof issueTokenParams>>) {
                return { token: await tokens.issue!({ id: ctx.params.userId, roles: ctx.params.roles ?? [] }) };
              },
            },
          }),
    },

    methods: {
      /** Part of the node's readiness: a node that no longer takes requests is not ready. */
      readiness(this: GatewayInstance): ReadinessCheck[] {
        return [{ name: 'gateway', ready: this.http.listening }];
      },

      async open(this: GatewayInstance): Promise<void> {
        const port = await this.http.listen();
        this.broker.metadata.httpPort = port;
        this.logger.info(`The gateway listens on http://${config.httpHost}:${port}.`);
      },

      close(this: GatewayInstance): Promise<void> {
        return this.http.drain(config.shutdownMs * drainShare);
      },

      /** In place of moleculer-web's: answers as the route says. */
      sendResponse(this: GatewayInstance, request: RoutedRequest, response: ServerResponse, data: unknown) {
        const { status = 200, location, shared } = specOf(request)!;
        const { consistencyToken: token, idempotencyReplayed } = request.$ctx!.meta;
        if (shared && isPlainRead(request)) {
          const text = JSON.stringify(data);
          this.recent.put(request.originalUrl ?? '', text);
          return answerText(response, status, text);
        }
        answer(response, status, status === 204 ? undefined : data, {
          ...(token === undefined ? {} : { 'hotboard-token': token }),
          ...(idempotencyReplayed ? { 'idempotency-replayed': 'true' } : {}),
          ...(location === undefined ? {} : { location: location(data as { id: string }) }),
        });
      },

      /** What may be done at this path. */
      methodsAt(this: GatewayInstance, path: string): string[] {
        return this.aliases.filter((alias) => alias.re.test(path)).map((alias) => alias.method);
      },

      /** Before moleculer-web sees a request, which takes an OPTIONS for the method that it asks about, and no HEAD for a GET. */
      receive(this: GatewayInstance, request: RoutedRequest, response: ServerResponse) {
        if (isTooLarge(request)) {
          request.resume();
          return this.fail(request, response, { type: 'entity.too.large' });
        }
        if (request.method === 'OPTIONS') {
          const methods = this.methodsAt(request.url?.split('?')[0] ?? '');
          if (methods.length === 0) return this.fail(request, response, { type: 'NOT_FOUND' });
          return answer(response, 204, undefined, { allow: methods.join(', ') });
        }
        // Node sends no body for it.
        if (request.method === 'HEAD') request.method = 'GET';
        const recent = isPlainRead(request) ? this.recent.get(request.url ?? '') : undefined;
        if (recent === undefined) return this.httpHandler(request, response);
        answerText(response, 200, recent, { 'x-request-id': requestIdOf(request.headers['x-request-id'], randomUUID) });
      },

      /** In place of moleculer-web's: `fail` logs what is worth it. */
      errorHandler(this: GatewayInstance, request: RoutedRequest, response: ServerResponse, error: unknown) {
        this.fail(request, response, error);
      },

      fail(this: GatewayInstance, request: RoutedRequest, response: ServerResponse, error: unknown) {
        const requestId = request.$ctx?.requestID ?? 'unknown';
        const failure = failureOf(error, requestId);
        const methods = failure.body.error.code === 'NOT_FOUND' ? this.methodsAt(request.parsedUrl ?? '') : [];
        if (methods.length > 0) {
          const message = `This address has no ${request.method}; allowed: ${methods.join(', ')}.`;
          const body = { error: { code: 'METHOD_NOT_ALLOWED', message, details: null } };
          answer(response, 405, body, { allow: methods.join(', ') });
          return;
        }
        if (failure.unexpected) {
          this.logger.error(`${request.method} ${request.parsedUrl} failed (request id ${requestId})`, error);
        }
        answer(response, failure.status, failure.body, failure.headers);
      },
    },

    created(this: GatewayInstance) {
      this.recent = new RecentAnswers({ forMs: recentMs, kept: 500, monotonicMs: () => performance.now() });
      this.http = new HttpServer({
        host: config.httpHost,
        port: config.httpPort,
        handler: (request, response) => this.receive(request, response),
      });
      this.broker.middlewares.add({
        name: 'Gateway',
        started: () => this.open(),
        stopping: () => this.close(),
      });
    },

    async started(this: GatewayInstance) {
      // Created on a broker that runs already: its own start is over.
      if (this.broker.started) await this.open();
    },

    async stopped(this: GatewayInstance) {
      await this.close();
    },
  };
  return schema as unknown as ServiceSchema;
}

import type { Context } from 'moleculer';
import moleculer from 'moleculer';
import { loadConfig } from '../../../config/load.ts';
import { callerOrNull } from '../../../identity/caller.ts';
import { actionParams, Id64, ReadableText } from '../../../validation/fields.ts';
import { JsonSchemaValidator } from '../../../validation/validator.ts';
import { gatewayService } from '../gateway.ts';
import { maxBodyBytes } from '../request.ts';

export const config = loadConfig({
  HOTBOARD_JWT_SECRET: 'a secret that is long enough for HS256',
  HOTBOARD_HTTP_PORT: '0',
  HOTBOARD_SHUTDOWN_MS: '5000',
  HOTBOARD_DEV_LOGIN: '1',
});

/** Stands for the article and like services; each answer shows what arrived. */
export async function startGateway({ requestTimeoutMs = 20_000 } = {}) {
  let asked = 0;
  const begun = Promise.withResolvers<void>();
  /** What article n answers. */
  const answers: Record<string, () => unknown> = {
    '1': () => ({ id: '1' }),
    '2': () => {
      throw new Error("Duplicate entry '5' for key 'PRIMARY': SELECT secret FROM t");
    },
    '3': () => {
      asked++;
      throw Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:3306'), { code: 'ECONNREFUSED', retryable: true });
    },
    '4': () => new Promise(() => {}),
    '5': () => {
      throw new moleculer.Errors.MoleculerClientError('There is no such article.', 404, 'ARTICLE_NOT_FOUND', {
        id: '5',
      });
    },
    '6': () => {
      begun.resolve();
      return new Promise((resolve) => setTimeout(() => resolve({ id: '6' }), 250));
    },
  };
  const broker = new moleculer.ServiceBroker({
    logger: false,
    validator: new JsonSchemaValidator(),
    requestTimeout: requestTimeoutMs,
    retryPolicy: {
      enabled: true,
      retries: 2,
      delay: 1,
      check: (error: Error) => 'retryable' in error && error.retryable === true,
    },
  });
  broker.createService({
    name: 'article',
    actions: {
      create: {
        params: actionParams({ boardId: Id64, title: ReadableText(200), content: ReadableText(maxBodyBytes) }),
        handler(ctx: Context<{ title: string }, { consistencyToken?: string; traceparent?: string }>) {
          ctx.meta.consistencyToken = 'the-token';
          const { requestID, meta } = ctx;
          return { id: '9007199254740993', user: callerOrNull(ctx), requestID, traceparent: meta.traceparent };
        },
      },
      get: { params: actionParams({ id: Id64 }), handler: (ctx: Context<{ id: string }>) => answers[ctx.params.id]!() },
    },
  });
  let reads = 0;
  broker.createService({
    name: 'hot-list',
    actions: {
      top: (ctx: Context<{ board?: string }>) => (ctx.params.board === '1' ? { read: ++reads } : ctx.params),
    },
  });
  broker.createService(gatewayService(config));
  await broker.start();
  return {
    broker,
    base: `http://127.0.0.1:${broker.metadata.httpPort}`,
    /** How often article 3 was asked for, which can't be reached. */
    asked: () => asked,
    /** Article 6 was asked for, whose answer takes a while. */
    begun: begun.promise,
  };
}

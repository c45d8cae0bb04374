import moleculer, { type Context, type Service, type ServiceSchema } from 'moleculer';
import { systemClock } from '../../clock/clock.ts';
import type { Catalogue } from '../../events/catalogue.ts';
import { SourceError } from '../sources/errors.ts';
import { OperatorError, operatorStatus } from './errors.ts';
import { createMysqlOperatorStore } from './mysql-operator-store.ts';
import { createOperator, type Operator } from './operator.ts';

const { MoleculerClientError, MoleculerRetryableError } = moleculer.Errors;

export interface OutboxOperatorServiceOptions {
  /** Name of the service. Default `outbox`. */
  name?: string;
  /** A function is called once, in `created()`: nothing of it becomes part of the service's settings, which travel to every node. */
  operator: OutboxOperatorOptions | (() => OutboxOperatorOptions);
}

export interface OutboxOperatorOptions {
  /** The sources that a relay of the system forwards: `name` and `url` as there. */
  sources: readonly { name: string; url: string }[];
  /** What edited payloads are checked against. */
  catalogue: Catalogue;
  /** As in `OutboxMixin`. Default 900 KiB. */
  maxEventBytes?: number;
  /** How long an action waits for the bucket's owner before it answers `requested`. Default 5,000: below `requestTimeout`. */
  waitMs?: number;
}

interface Instance extends Service {
  operator: Operator;
}

/**
 * What an operator can do about events that fail, as a Moleculer service; it needs no relay on its own node.
 *
 * `outbox.list` `{ source, state?: pending|blocked|dead, key?, type?, page?, pageSize? }` → `ListAnswer`.
 * `outbox.show` `{ source, id }` → `ShownEvent`: payload, headers, attempts, last error, audit. Also of sent events.
 * `outbox.retry` `{ source, id | key | all: true }` → `RequestAnswer`: the key is tried again at once, its attempts count anew.
 * `outbox.drop` `{ source, id, reason }` → `RequestAnswer`: a `Skipped` event takes its place.
 * `outbox.edit` `{ source, id, payload, reason }` → `RequestAnswer`: the event gets another payload.
 *
 * `id` is the one that `outbox.list` shows. The last three are audited with `ctx.meta.user`, else with the calling node. Errors have an HTTP
 * status as `code` and one of `OperatorErrorCode` as `type`; 503 `OUTBOX_UNAVAILABLE` where the source's database is away.
 */
export function OutboxOperatorService(options: OutboxOperatorServiceOptions): ServiceSchema {
  const action = (run: (operator: Operator, params: unknown, who: string) => Promise<unknown>) => ({
    async handler(this: Instance, ctx: Context) {
      try {
        return await run(this.operator, ctx.params, whoOf(ctx));
      } catch (error) {
        throw forCallers(error);
      }
    },
  });
  const schema: ServiceSchema<unknown, object, object, Instance> = {
    name: options.name ?? 'outbox',
    actions: {
      list: action((operator, params) => operator.list(params)),
      show: action((operator, params) => operator.show(params)),
      retry: action((operator, params, who) => operator.retry(params, who)),
      drop: action((operator, params, who) => operator.drop(params, who)),
      edit: action((operator, params, who) => operator.edit(params, who)),
    },
    created(this: Instance) {
      const { sources, ...given } = typeof options.operator === 'function' ? options.operator() : options.operator;
      this.operator = createOperator({
        ...given,
        sources: sources.map(({ name, url }) => ({ name, store: createMysqlOperatorStore({ url }) })),
        nudge: (source, buckets) => void this.broker.broadcast('outbox.nudge', { source, buckets }),
        clock: systemClock,
      });
    },
    async stopped(this: Instance) {
      await this.operator.close();
    },
  };
  return schema as ServiceSchema;
}

const longestName = 255;

/** The user that the gateway has verified, else the node that calls. */
function whoOf(ctx: Context): string {
  const user = (ctx.meta as { user?: unknown } | null)?.user;
  const id = typeof user === 'object' && user !== null ? (user as { id?: unknown }).id : user;
  const who = typeof id === 'string' || typeof id === 'number' ? `user ${id}` : `node ${ctx.nodeID ?? 'unknown'}`;
  return who.slice(0, longestName);
}

function forCallers(error: unknown): unknown {
  if (error instanceof OperatorError) {
    const status = operatorStatus[error.code];
    return Object.assign(new MoleculerClientError(error.message, status, error.code), {
      retryable: error.retryable,
      cause: error,
    });
  }
  if (error instanceof SourceError) {
    const message = 'The database of the outbox cannot be asked at the moment: try again.';
    return Object.assign(new MoleculerRetryableError(message, 503, 'OUTBOX_UNAVAILABLE'), { cause: error });
  }
  return error;
}

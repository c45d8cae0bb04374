import type { Context, Service, ServiceSchema } from 'moleculer';
import { moleculerMetrics } from './moleculer-metrics.ts';
import { createRelay, type Relay, type RelayOptions } from './relay.ts';

export interface RelayServiceOptions {
  /** Name of the service. Default `relay`. */
  name?: string;
  /**
   * Its relay. A function is called once, in the service's `created()`: make clients there. Nothing of it becomes part of
   * the service's settings, which would travel to every node. `id`, `logger` and `metrics` default to the node's.
   */
  relay: RelayOptions | ((service: Service) => RelayOptions);
}

/** The payload of the broadcast `outbox.nudge`. */
interface Nudge {
  source: string;
  buckets?: number[];
}

/** In the format of Moleculer's own validator, as this service also runs in projects that have no other one. */
const noParameters = { $$strict: true };

interface RelayServiceInstance extends Service {
  relay: Relay;
}

/**
 * A Moleculer service around `createRelay`.
 *
 * Action `relay.status` (no parameters; ask a node by `nodeID`) → `RelayStatus`. Action `relay.health` → `RelayHealth`.
 * Event `outbox.nudge` `{ source, buckets? }`: looks at these buckets at once; a hint that may be lost.
 * Method `readiness()`: one check for each source, ready where its database and topics are as expected.
 */
export function RelayService(options: RelayServiceOptions): ServiceSchema {
  const schema: ServiceSchema<unknown, object, object, RelayServiceInstance> = {
    name: options.name ?? 'relay',

    actions: {
      status: {
        params: noParameters,
        handler(this: RelayServiceInstance) {
          return this.relay.status();
        },
      },
      health: {
        params: noParameters,
        handler(this: RelayServiceInstance) {
          return this.relay.health();
        },
      },
    },

    events: {
      'outbox.nudge': {
        handler(this: RelayServiceInstance, ctx: Context<Nudge>) {
          const { source, buckets } = ctx.params ?? {};
          this.relay.nudge(source, Array.isArray(buckets) ? buckets : undefined);
        },
      },
    },

    methods: {
      readiness(this: RelayServiceInstance) {
        const { problems, sources } = this.relay.health();
        return Object.entries(sources).map(([source, state]) => {
          const detail = problems.filter((problem) => problem.startsWith(`${source}:`)).join('; ');
          return { name: `relay ${source}`, ready: state === 'running', ...(detail ? { detail } : {}) };
        });
      },
    },

    created(this: RelayServiceInstance) {
      const given = typeof options.relay === 'function' ? options.relay(this) : options.relay;
      this.relay = createRelay({
        id: this.broker.nodeID,
        logger: this.logger,
        metrics: moleculerMetrics(this.broker),
        ...given,
      });
    },

    async started(this: RelayServiceInstance) {
      await this.relay.start();
    },

    async stopped(this: RelayServiceInstance) {
      await this.relay.stop();
    },
  };
  return schema as ServiceSchema;
}

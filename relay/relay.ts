import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { systemClock } from '../clock/clock.ts';
import { partitionOf } from '../kafka/partitioner.ts';
import type { Logger } from '../kafka/port.ts';
import { deliveriesOf } from './delivery/modes.ts';
import { positionsTopic } from './delivery/position.ts';
import { noMetrics } from './metrics.ts';
import {
  type CheckedOptions,
  checkOptions,
  RelayConfigError,
  type RelayOptions,
  type RelaySource,
  type TopicRule,
} from './options.ts';
import { Janitor, type JanitorOptions } from './retention/janitor.ts';
import { openMysqlPartitions } from './retention/mysql-partitions.ts';
import type { SourceRelayOptions } from './source-options.ts';
import { SourceRelay } from './source-relay.ts';
import { createMysqlStore } from './sources/mysql-store.ts';
import type { StoredEvent } from './sources/store.ts';
import type { RelayHealth, RelayStatus } from './status.ts';

export { RelayConfigError, type RelayOptions, type RelaySource, type TopicRule } from './options.ts';
export type { RelayHealth, RelayStatus, SourceStatus } from './status.ts';

/** Forwards unsent events of several outboxes to Kafka, together with other relays of the same outboxes. */
export interface Relay {
  /** Name of this relay in leases. */
  readonly id: string;
  /**
   * Begins. Databases or brokers that are away are waited for in the background, for ever. Rejects with `RelayConfigError`
   * where one that answers at once was made for other settings (buckets, partitions); then nothing runs.
   */
  start(): Promise<void>;
  /** Takes no more, finishes what is in flight, gives the buckets back to the others, closes its connections. */
  stop(): Promise<void>;
  /** A hint that rows were committed: looks at once. Unknown sources and buckets of others are ignored. */
  nudge(source: string, buckets?: readonly number[]): void;
  /** Reads the backlogs anew. Never rejects: what can't be read is in `lastError`. */
  status(): Promise<RelayStatus>;
  health(): RelayHealth;
}

/** How long `start` waits for first answers. */
const startWaitMs = 2_000;
const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Throws `RelayConfigError` for a mistake in the options. Connects to nothing before `start`. */
export function createRelay(given: RelayOptions): Relay {
  const options = checkOptions(given);
  const clock = given.clock ?? systemClock;
  const log = given.logger ?? silent;
  const metrics = given.metrics ?? noMetrics;
  const id = `${(given.id ?? `${hostname()}-${process.pid}`).slice(0, 100)}/${randomBytes(4).toString('hex')}`;
  const admin = options.kafka.admin();

  const sources = options.sources.map((source) => {
    const rule = topicRule(source, options.topicPrefix);
    const partitions = source.partitions ?? 12;
    const buckets = source.buckets ?? options.buckets;
    const store =
      source.store ??
      createMysqlStore({ url: source.url, connections: source.connections, leaseTimeoutMs: options.leaseMs / 2 });
    const checked = rule.names.map((name) => ({ name, partitions }));
    if (options.delivery === 'exactly-once') {
      checked.push({ name: positionsTopic(options.topicPrefix, source.name), partitions: buckets });
    }
    return new SourceRelay({
      name: source.name,
      me: id,
      topics: rule.names,
      route(event) {
        const topic = rule.choose(event);
        if (!rule.names.includes(topic)) {
          throw new RelayConfigError(
            `The topic rule of ${source.name} chose "${topic}"; allowed: ${rule.names.join(', ')}.`,
          );
        }
        return { topic, partition: partitionOf(event.aggregateId, partitions) };
      },
      async checkTopics() {
        for (const { name, partitions } of checked) {
          const topic = await admin.describeTopic(name);
          if (topic.partitions.length !== partitions) {
            throw new RelayConfigError(
              `Topic ${name} has ${topic.partitions.length} partitions; source ${source.name} is set to ${partitions}.`,
            );
          }
        }
      },
      buckets,
      leaseMs: options.leaseMs,
      shortestPollMs: options.shortestPollMs,
      longestPollMs: options.longestPollMs,
      loop: {
        batchSize: options.batchSize,
        batchBytes: options.batchBytes,
        headRows: Math.max(options.headRows, options.batchSize),
        retry: options.retry,
        blocked: {
          maxAttempts: options.maxAttempts,
          deadPolicy: options.deadPolicy,
          retry: { firstMs: options.retry.firstMs * 4, longestMs: options.retry.longestMs * 6 },
        },
      },
      store,
      janitor: janitors(source, options, { clock, log, metrics }),
      delivery: deliveriesOf({ ...options, source: source.name, me: id, store, log }),
      clock,
      log,
      metrics,
    });
  });
  const byName = new Map(options.sources.map((source, index) => [source.name, sources[index]!]));

  const stop = once(async () => {
    await Promise.all(sources.map((source) => source.stop(options.stopTimeoutMs)));
    await admin.close();
  });

  return {
    id,
    async start() {
      try {
        await Promise.all(sources.map((source) => source.start(startWaitMs)));
      } catch (error) {
        await stop();
        throw error;
      }
    },
    stop,
    nudge: (source, buckets) => byName.get(source)?.nudge(buckets),
    status: async () => ({
      id,
      delivery: options.delivery,
      deadPolicy: options.deadPolicy,
      maxAttempts: options.maxAttempts,
      sources: await Promise.all(sources.map((source) => source.status())),
    }),
    health() {
      const problems = sources.flatMap((source) => source.problems());
      return {
        state: problems.length > 0 ? 'degraded' : 'up',
        sources: Object.fromEntries([...byName].map(([name, source]) => [name, source.state])),
        problems,
      };
    },
  };
}

/** A partition is split off while it is empty; with so few rows it takes no longer than writers may wait. */
const maxOverflowRows = 5_000;
const daysAhead = 7;

function janitors(
  { name, url, store, retentionDays }: RelaySource,
  options: Pick<CheckedOptions, 'retentionDays' | 'auditRetentionDays'>,
  given: Pick<JanitorOptions, 'clock' | 'log' | 'metrics'>,
): SourceRelayOptions['janitor'] {
  const days = retentionDays ?? options.retentionDays;
  const auditDays = options.auditRetentionDays;
  if ((days === 0 && auditDays === 0) || store) return undefined;
  const open = () => openMysqlPartitions({ url, clock: given.clock });
  const settings = { days, auditDays, aheadDays: daysAhead, maxOverflowRows };
  return (mayAct) => new Janitor({ ...given, source: name, open, settings, mayAct });
}

function topicRule(source: RelaySource, prefix: string): TopicRule {
  const { topic = `${prefix}.${source.name}` } = source;
  if (typeof topic === 'string') return { names: [topic], choose: () => topic };
  return { names: topic.names, choose: (event: StoredEvent) => topic.choose(event) };
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | null = null;
  return () => {
    done ??= work();
    return done;
  };
}

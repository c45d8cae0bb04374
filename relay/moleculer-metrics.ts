import type { ServiceBroker } from 'moleculer';
import { noMetrics, type RelayMetrics, relayMetrics } from './metrics.ts';

/** Names of the relay's metrics in Moleculer's registry (Prometheus shows `_` for `.`). */
export const relayMetricNames = {
  published: 'relay.events.published.total',
  publishFailures: 'relay.events.failed.total',
  deleted: 'relay.rows.deleted.total',
  errors: 'relay.errors.total',
  batchSize: 'relay.batch.size',
  commitToAck: 'relay.commit.to.ack.ms',
  unsent: 'relay.rows.unsent',
  blocked: 'relay.rows.blocked',
  dead: 'relay.rows.dead',
  blockedKeys: 'relay.keys.blocked',
  deadKeys: 'relay.keys.dead',
  oldestUnsentAge: 'relay.rows.oldest.age.ms',
  leasesHeld: 'relay.leases.held',
  unownedWithWork: 'relay.buckets.unowned',
  heldKeys: 'relay.keys.held',
  partitionsAhead: 'relay.partitions.ahead.days',
  partitionsOldest: 'relay.partitions.oldest.days',
  partitionsHeld: 'relay.partitions.held',
  partitionsDropped: 'relay.partitions.dropped.total',
} as const satisfies Record<keyof typeof relayMetrics, string>;

const histogramBuckets: Readonly<Record<string, readonly number[]>> = {
  batchSize: [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000],
  commitToAck: [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 60000],
};

/** The relay's figures in Moleculer's metrics registry. */
export function moleculerMetrics(broker: ServiceBroker): RelayMetrics {
  if (!broker.isMetricsEnabled()) return noMetrics;
  const { metrics } = broker;
  for (const [key, { type, labels, description, ...rest }] of Object.entries(relayMetrics)) {
    const name = relayMetricNames[key as keyof typeof relayMetrics];
    if (metrics.hasMetric(name)) continue;
    const unit = 'unit' in rest ? { unit: rest.unit } : {};
    const buckets = histogramBuckets[key];
    metrics.register({
      name,
      type,
      labelNames: [...labels],
      description,
      ...unit,
      ...(buckets ? { buckets: [...buckets] } : {}),
    } as Parameters<typeof metrics.register>[0]);
  }
  return {
    add: (name, labels, by) => void metrics.increment(relayMetricNames[name], labels, by),
    set: (name, labels, value) => void metrics.set(relayMetricNames[name], value, labels),
    observe: (name, labels, value) => void metrics.observe(relayMetricNames[name], value, labels),
  };
}

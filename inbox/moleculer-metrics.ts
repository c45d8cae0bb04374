import type { ServiceBroker } from 'moleculer';
import { counters, gauges, histograms, type InboxMetrics, noMetrics } from './metrics.ts';

/** Upper bounds of the histograms. */
const buckets: Record<keyof typeof histograms, number[]> = {
  'inbox.batch.ms': [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000],
  'inbox.batch.events': [1, 5, 10, 50, 100, 250, 500, 1000],
};

/** The inbox's figures in Moleculer's metrics registry, each with the label `group`. */
export function moleculerMetrics(broker: ServiceBroker, group: string): InboxMetrics {
  if (!broker.isMetricsEnabled()) return noMetrics;
  const { metrics } = broker;
  for (const [name, { labels, description }] of Object.entries(counters)) {
    metrics.register({ type: 'counter', name, labelNames: ['group', ...labels], description });
  }
  for (const [name, { labels, description }] of Object.entries(gauges)) {
    metrics.register({ type: 'gauge', name, labelNames: ['group', ...labels], description });
  }
  for (const [name, { description }] of Object.entries(histograms)) {
    const options = { type: 'histogram', name, labelNames: ['group'], description, buckets: buckets[name as never] };
    metrics.register(options as never);
  }
  return {
    count: (name, by, labels) => metrics.increment(name, { group, ...labels }, by),
    gauge: (name, value, labels) => metrics.set(name, value, { group, ...labels }),
    observe: (name, value, labels) => metrics.observe(name, value, { group, ...labels }),
  };
}

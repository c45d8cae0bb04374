import type { ServiceBroker } from 'moleculer';

/** What the hot list tells of itself: a narrow interface, so that its logic does not know where figures go. */
export interface HotMetrics {
  count(name: HotCounter, by: number, labels?: Readonly<Record<string, string>>): void;
  gauge(name: HotGauge, value: number): void;
}

const counters = {
  'hot.refreshed.total': {
    labels: ['answer'],
    description: 'Rows pushed to Redis, by what became of them: written, same, newer, missing.',
  },
  'hot.refresh.failures.total': {
    labels: [],
    description: 'Pushes that did not reach Redis; the healer makes them good.',
  },
  'hot.rebuilds.total': { labels: [], description: 'Days whose lists were built anew.' },
  'hot.reads.total': { labels: ['from'], description: 'Lists read, by where they came from: redis, mysql, memory.' },
} as const;

const gauges = {
  'hot.dirty.rows': { description: 'Rows that Redis may not have.' },
  'hot.behind.ms': { description: 'For how long Redis has not had all that MySQL has.' },
  'hot.lag.ms': { description: 'How far the list is behind the producers; -1 where it is not known.' },
} as const;

export type HotCounter = keyof typeof counters;
export type HotGauge = keyof typeof gauges;

export const noMetrics: HotMetrics = { count() {}, gauge() {} };

/** The hot list's figures in Moleculer's metrics registry. */
export function moleculerMetrics(broker: ServiceBroker): HotMetrics {
  if (!broker.isMetricsEnabled()) return noMetrics;
  const { metrics } = broker;
  for (const [name, { labels, description }] of Object.entries(counters)) {
    metrics.register({ type: 'counter', name, labelNames: [...labels], description });
  }
  for (const [name, { description }] of Object.entries(gauges)) metrics.register({ type: 'gauge', name, description });
  return {
    count: (name, by, labels) => metrics.increment(name, labels, by),
    gauge: (name, value) => metrics.set(name, value),
  };
}

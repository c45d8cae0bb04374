import type { ServiceBroker } from 'moleculer';
import type { OutboxMetrics } from './transaction.ts';

/** Names of the counters, each with the label `source`. */
export const outboxMetricNames = {
  /** Events committed; label `type`. */
  written: 'outbox.events.written.total',
  /** Transactions taken again; label `reason`: deadlock, lock-wait, snapshot, connection-lost. */
  retried: 'outbox.transactions.retried.total',
  /** Commits without an answer. */
  unknownOutcome: 'outbox.commits.unknown.total',
} as const;

/** The outbox's counts in Moleculer's metrics registry. */
export function moleculerMetrics(broker: ServiceBroker, source: string): OutboxMetrics {
  if (!broker.isMetricsEnabled()) {
    return { written: () => undefined, retried: () => undefined, unknownOutcome: () => undefined };
  }
  const { metrics } = broker;
  const counters = [
    { name: outboxMetricNames.written, labelNames: ['source', 'type'], description: 'Events committed to the outbox' },
    { name: outboxMetricNames.retried, labelNames: ['source', 'reason'], description: 'Transactions taken again' },
    { name: outboxMetricNames.unknownOutcome, labelNames: ['source'], description: 'Commits of unknown outcome' },
  ];
  for (const counter of counters) {
    // A second registration would forget what another service of this node has counted.
    if (!metrics.hasMetric(counter.name)) metrics.register({ type: 'counter', ...counter });
  }
  return {
    written: (type, count) => metrics.increment(outboxMetricNames.written, { source, type }, count),
    retried: (reason) => metrics.increment(outboxMetricNames.retried, { source, reason }),
    unknownOutcome: () => metrics.increment(outboxMetricNames.unknownOutcome, { source }),
  };
}

import type { InboxMetrics } from '../metrics.ts';

/** Metrics that keep sums: `name` or `name{label}`. */
export function recordedMetrics(): InboxMetrics & { sums: Record<string, number> } {
  const sums: Record<string, number> = {};
  return {
    sums,
    count(name, by, labels = {}) {
      const key = [name, ...Object.values(labels)].join(' ');
      sums[key] = (sums[key] ?? 0) + by;
    },
    gauge() {},
    observe() {},
  };
}

/** What the inbox tells of itself: a narrow interface, so that its logic does not know where figures go. */
export interface InboxMetrics {
  count(name: InboxCounter, by: number, labels?: Readonly<Record<string, string>>): void;
  gauge(name: InboxGauge, value: number, labels?: Readonly<Record<string, string>>): void;
  observe(name: InboxHistogram, value: number, labels?: Readonly<Record<string, string>>): void;
}

/** Counters with their labels (all also carry `group`) and what they count. */
export const counters = {
  'inbox.events.applied.total': { labels: [], description: 'Events applied.' },
  'inbox.events.duplicate.total': { labels: [], description: 'Events that were known already.' },
  'inbox.events.stale.total': { labels: [], description: 'Events that came after a newer one of their stream.' },
  'inbox.events.early.total': {
    labels: [],
    description: 'Events that came before an earlier one of their stream (sequence inbox).',
  },
  'inbox.dead_letters.total': { labels: ['reason'], description: 'Messages put among the dead letters.' },
  'inbox.dead_letters.settled.total': {
    labels: ['outcome'],
    description: 'Dead letters that people replayed or discarded, by what came of it.',
  },
  'inbox.purged.total': { labels: ['table'], description: 'Rows that were removed as they were older than is kept.' },
  'inbox.retries.total': {
    labels: ['reason'],
    description: 'Batches taken again: conflict, away, not-ready, known-id or handler.',
  },
  'inbox.alarms.total': { labels: ['alarm'], description: 'What an operator must hear about; the log says more.' },
  'inbox.consumer.rebuilds.total': {
    labels: [],
    description: 'Consumers made anew because the old one made no progress.',
  },
  'inbox.after_commit.failures.total': { labels: [], description: 'Calls of afterCommit that failed.' },
} as const;

export const gauges = {
  'inbox.lag.events': { labels: ['topic', 'partition'], description: 'Events of the partition that are not applied.' },
  'inbox.parked': { labels: [], description: 'Events of this consumer, in all processes, that wait parked.' },
  'inbox.parked.oldest.ms': { labels: [], description: 'For how long the oldest of them has waited.' },
  'inbox.dead_letters.waiting': { labels: [], description: 'Dead letters of this consumer that wait for somebody.' },
  'inbox.lag.ms': {
    labels: ['topic', 'partition'],
    description: 'Age of the oldest of them; -1 where it is not known.',
  },
} as const;

export const histograms = {
  'inbox.batch.ms': { labels: [], description: 'Time of one transaction with its batch, ms.' },
  'inbox.batch.events': { labels: [], description: 'Messages in one transaction.' },
} as const;

export type InboxCounter = keyof typeof counters;
export type InboxGauge = keyof typeof gauges;
export type InboxHistogram = keyof typeof histograms;

export const noMetrics: InboxMetrics = { count() {}, gauge() {}, observe() {} };

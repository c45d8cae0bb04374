/** Where the relay's figures go. Names and labels are in `relayMetrics`, for operators in `relay/README.md`. */
export interface RelayMetrics {
  /** Adds to a counter. */
  add(name: CounterName, labels: Labels, by: number): void;
  /** Sets a gauge. */
  set(name: GaugeName, labels: Labels, value: number): void;
  /** One more value of a histogram. */
  observe(name: HistogramName, labels: Labels, value: number): void;
}

export type Labels = Readonly<Record<string, string>>;

export const relayMetrics = {
  published: { type: 'counter', labels: ['source'], description: 'Events acknowledged by Kafka' },
  publishFailures: {
    type: 'counter',
    labels: ['source', 'reason'],
    description: 'Events without an acknowledgement, by the error code; they are sent again',
  },
  deleted: { type: 'counter', labels: ['source'], description: 'Unsent rows deleted after their acknowledgement' },
  errors: {
    type: 'counter',
    labels: ['source', 'reason'],
    description: 'Failed statements and steps, by the error code',
  },
  batchSize: { type: 'histogram', labels: ['source'], description: 'Events in a batch' },
  commitToAck: {
    type: 'histogram',
    labels: ['source'],
    unit: 'ms',
    description: 'From the change (database clock) to the acknowledgement; up to 16 events of each batch are sampled',
  },
  unsent: { type: 'gauge', labels: ['source'], description: 'Rows that wait to be sent (counting stops at 100,000)' },
  blocked: { type: 'gauge', labels: ['source'], description: 'Rows of keys that wait for their next attempt' },
  dead: { type: 'gauge', labels: ['source'], description: 'Rows of keys that wait for an operator' },
  blockedKeys: { type: 'gauge', labels: ['source'], description: 'Keys that wait for their next attempt' },
  deadKeys: { type: 'gauge', labels: ['source'], description: 'Keys that wait for an operator: an alarm' },
  oldestUnsentAge: { type: 'gauge', labels: ['source'], unit: 'ms', description: 'Age of the oldest row that waits' },
  leasesHeld: { type: 'gauge', labels: ['source'], description: 'Buckets that this relay has' },
  unownedWithWork: {
    type: 'gauge',
    labels: ['source'],
    description: 'Buckets with waiting rows that nobody has had for longer than a takeover takes: an alarm',
  },
  heldKeys: {
    type: 'gauge',
    labels: ['source'],
    description: 'Keys of this relay that wait because their partition failed',
  },
  partitionsAhead: {
    type: 'gauge',
    labels: ['source'],
    unit: 'day',
    description: 'Days after today with a partition of their own',
  },
  partitionsOldest: { type: 'gauge', labels: ['source'], unit: 'day', description: 'Age of the oldest partition' },
  partitionsHeld: {
    type: 'gauge',
    labels: ['source'],
    description: 'Partitions past their time that stay because of events that are not sent',
  },
  partitionsDropped: { type: 'counter', labels: ['source'], description: 'Partitions dropped' },
} as const satisfies Record<
  string,
  { type: 'counter' | 'gauge' | 'histogram'; labels: readonly string[]; unit?: string; description: string }
>;

type NamesOf<Type> = {
  [Name in keyof typeof relayMetrics]: (typeof relayMetrics)[Name]['type'] extends Type ? Name : never;
}[keyof typeof relayMetrics];
export type CounterName = NamesOf<'counter'>;
export type GaugeName = NamesOf<'gauge'>;
export type HistogramName = NamesOf<'histogram'>;

export const noMetrics: RelayMetrics = { add: () => {}, set: () => {}, observe: () => {} };

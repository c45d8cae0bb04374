/**
 * What happened in a run, in order. The order of the list is the order of the world; `atMs` only measures how long nothing moved.
 * Processes of their own write JSON lines, which `merged` brings together.
 */
export type Happening = { atMs: number; process: string } & (
  | ClientHappening
  | RelayHappening
  | FenceHappening
  | BrokerHappening
  | ConsumerHappening
  | FaultHappening
  | HealthHappening
);

/** `info`: the client does not know whether its change was made. */
export interface ClientHappening {
  kind: 'client';
  op: 'invoke' | 'ok' | 'fail' | 'info';
  call: number;
  aggregate: string;
  /** Known where it was committed. */
  event?: string;
  version?: number;
}

/**
 * `source`: where several share the bucket numbers. `early`: the term before was not over by the clock of the database that keeps
 * them. `deleted`: a mark as the database saw it, where acknowledgements are not seen: then the events must be in the topic.
 */
export type RelayHappening = { source?: string } & (
  | { kind: 'relay'; op: 'elected'; bucket: number; epoch: number; early?: boolean }
  | { kind: 'relay'; op: 'send' | 'ack'; bucket: number; epoch: number; events: readonly string[] }
  | { kind: 'relay'; op: 'mark' | 'deleted'; bucket: number; events: readonly string[] }
);

/** From here on the broker has a newer term of this bucket: whatever an older one sends must be refused. */
export interface FenceHappening {
  kind: 'fence';
  op: 'raised';
  source?: string;
  bucket: number;
  epoch: number;
}

/** A message is in the topic, for readers of committed messages to see. */
export interface BrokerHappening {
  kind: 'broker';
  op: 'stored';
  partition: number;
  offset: number;
  event: string;
  aggregate: string;
  version: number;
  /** Put there by a fault, out of turn. */
  foreign?: boolean;
  /** The term that sent it, where the broker knows it (exactly-once). */
  source?: string;
  bucket?: number;
  epoch?: number;
}

/** What a consumer has committed; `receive` is what was handed to it. */
export type ConsumerHappening =
  | { kind: 'consumer'; op: 'receive'; partition: number; from: number; to: number }
  | { kind: 'consumer'; op: 'applied' | 'stale' | 'parked'; event: string; aggregate: string; version: number }
  | { kind: 'consumer'; op: 'dead'; partition: number; offset: number; event: string | null }
  | { kind: 'consumer'; op: 'watermark'; aggregate: string; version: number }
  | { kind: 'consumer'; op: 'offset'; store: 'inbox' | 'kafka'; partition: number; offset: number };

export interface FaultHappening {
  kind: 'fault';
  op: 'start' | 'end';
  fault: string;
  number: number;
  /** At the end: how often it did something. */
  hits?: number;
}

/** How many replicas of a part can work from now on. A part that is never spoken of can. */
export interface HealthHappening {
  kind: 'health';
  op: 'changed';
  part: string;
  healthy: number;
  of: number;
}

/** An event that the producer's database has committed: the truth that all else is compared with. */
export interface LedgerRow {
  event: string;
  aggregate: string;
  version: number;
}

/** An effect that a consumer's database has committed. */
export interface EffectRow extends LedgerRow {
  /** Where several consumers have effects of one event. */
  consumer?: string;
}

/** What a store shows of something, and what counting anew (from the ledger, or by a rebuild) comes to. */
export interface Comparison {
  /** E.g. an article, or a list. */
  name: string;
  shown: unknown;
  counted: unknown;
}

/** What is left in databases and topics at the end. */
export interface FinalState {
  ledger: readonly LedgerRow[];
  /** Events whose row waits to be sent. */
  unsent: readonly string[];
  /** Events of keys that are blocked for good at the producer: their rows wait for an operator. */
  withheld?: readonly string[];
  /** Events that an operator has skipped: nobody waits for them. */
  skipped?: readonly string[];
  /** One row for each effect, in the order of the commits; without a unique key. */
  effects: readonly EffectRow[];
  /** Events that wait parked. */
  parked: readonly string[];
  deadLetters: readonly string[];
  projection?: readonly { aggregate: string; version: number; applied: number; sum: number }[];
  /** Rows of projections that are no sums, beside an independent recount. */
  recounts?: readonly Comparison[];
  /** What Redis shows, beside a rebuild from the database. */
  redis?: readonly Comparison[];
  /** Positions that the inbox has stored, and the ends of the partitions. */
  positions: readonly { partition: number; stored: number; end: number }[];
}

/** Histories of several processes, a JSON object on each line, in one order by their clocks. A torn last line is left out. */
export function merged(texts: readonly string[]): Happening[] {
  const all = texts.flatMap((text) =>
    text.split('\n').flatMap((line) => {
      if (line === '') return [];
      try {
        return [JSON.parse(line) as Happening];
      } catch (cause) {
        if (text.endsWith(line)) return [];
        throw new Error(`not a line of a history: ${JSON.stringify(line.slice(0, 200))}`, { cause });
      }
    }),
  );
  return all.sort((a, b) => a.atMs - b.atMs);
}

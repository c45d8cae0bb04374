/** What happened in a run, in order. `atMs` is for reading only: the order of the list is the order of the world. */
export type Happening = { atMs: number; process: string } & (
  | ClientHappening
  | RelayHappening
  | BrokerHappening
  | ConsumerHappening
  | FaultHappening
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

export type RelayHappening =
  | { kind: 'relay'; op: 'elected'; bucket: number; epoch: number }
  | { kind: 'relay'; op: 'send' | 'ack'; bucket: number; epoch: number; events: readonly string[] }
  | { kind: 'relay'; op: 'mark'; bucket: number; events: readonly string[] };

/** A message is in the topic. */
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

/** An event that the producer's database has committed: the truth that all else is compared with. */
export interface LedgerRow {
  event: string;
  aggregate: string;
  version: number;
}

/** What is left in databases and topics at the end. */
export interface FinalState {
  ledger: readonly LedgerRow[];
  /** Events whose row waits to be sent. */
  unsent: readonly string[];
  /** One row for each effect, in the order of the commits; without a unique key. */
  effects: readonly LedgerRow[];
  /** Events that wait parked. */
  parked: readonly string[];
  deadLetters: readonly string[];
  projection: readonly { aggregate: string; version: number; applied: number; sum: number }[];
  /** Positions that the inbox has stored, and the ends of the partitions. */
  positions: readonly { partition: number; stored: number; end: number }[];
}

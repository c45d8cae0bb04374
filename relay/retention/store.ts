import type { Layout } from './plan.ts';

/** What the janitor asks of a source's database. All throw `SourceError`. */
export interface PartitionStore {
  /** `countUpTo`: rows of the last partition are counted no further. */
  readLayout(countUpTo: number): Promise<Layout>;
  /** Days before this one of which there are unsent rows, in any state. */
  readUnsentDays(before: string): Promise<string[]>;
  /** Splits a partition off the last one. */
  split(last: string, partition: { name: string; before: string }): Promise<Outcome>;
  /** Removes a partition with its rows. */
  drop(name: string): Promise<Outcome>;
  /** Deletes rows of days before this one from the last partition, some at a time. Answers how many. */
  trim(last: string, before: string): Promise<number>;
  /** Deletes what operators did more than so many days ago, some hundred rows at a time. Answers how many; 0: there are no more. */
  trimAudit(days: number): Promise<number>;
  /** Removes relays that died long ago from the members. */
  forgetMembers(): Promise<void>;
  close(): Promise<void>;
}

/** `busy`: somebody reads the table in a transaction that does not end; nothing was done, so that no writer waits behind. */
export type Outcome = 'done' | 'busy';

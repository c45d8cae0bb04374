import type { PartitionReaderOptions } from '../port.ts';

export type Enough = NonNullable<PartitionReaderOptions['enough']>;

interface PartitionState {
  topic: string;
  healthy: boolean;
  paused: boolean;
  /** Looked for or fetched in vain at least once. */
  tried: boolean;
}

/** Whether a reader reads what it should: with `one of each topic` it can do without those that it tried in vain. */
export function readsEnough(partitions: readonly PartitionState[], enough: Enough = 'every partition'): boolean {
  if (partitions.every(isRead)) return true;
  if (enough === 'every partition') return false;
  const topics = [...Map.groupBy(partitions, ({ topic }) => topic).values()];
  return topics.every((group) => group.some(isRead) && group.every((state) => isRead(state) || state.tried));
}

export function isRead({ healthy, paused }: { healthy: boolean; paused: boolean }): boolean {
  return healthy || paused;
}

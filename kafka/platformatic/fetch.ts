import type { TopicPartition } from '../port.ts';
import { errorOfProtocolCode } from './errors.ts';
import { fetchVersions, type PartitionAnswer } from './fetch-answer.ts';
import { partKey } from './produce.ts';
import type { Wire } from './wire.ts';

export interface FetchPlace extends TopicPartition {
  topicId: string;
  position: bigint;
}

export interface FetchLimits {
  /** How long the broker may hold the request while there is nothing to read. */
  waitMs: number;
  maxBytes: number;
  maxBytesPerPartition: number;
  /** Hard deadline of the request. */
  deadlineMs: number;
}

const readCommitted = 1;
/** No incremental fetch session: nothing that a broker remembers can disagree with what this side wants. */
const noSession = [0, -1] as const;

/** One fetch request to one leader. Answers by `partKey`. */
export async function fetchOnce(
  wire: Wire,
  leader: number,
  places: readonly FetchPlace[],
  limits: FetchLimits,
): Promise<Map<string, PartitionAnswer>> {
  const byTopic = [...Map.groupBy(places, ({ topic }) => topic).values()];
  const answer = await wire.request(
    leader,
    'fetch',
    fetchVersions,
    (version) => [
      limits.waitMs,
      1,
      limits.maxBytes,
      readCommitted,
      ...noSession,
      byTopic.map((group) => ({
        // Up to version 12 topics go by name.
        topicId: version <= 12 ? group[0]!.topic : group[0]!.topicId,
        partitions: group.map(({ partition, position }) => ({
          partition,
          currentLeaderEpoch: -1,
          fetchOffset: position,
          lastFetchedEpoch: -1,
          partitionMaxBytes: limits.maxBytesPerPartition,
        })),
      })),
      [],
      '',
    ],
    { deadlineMs: limits.deadlineMs },
  );
  if (answer.errorCode !== 0) throw errorOfProtocolCode(answer.errorCode, `fetch from broker ${leader}`);
  const answers = new Map<string, PartitionAnswer>();
  for (const { topic: named, partitions } of answer.topics) {
    const topic = places.find((place) => place.topicId === named || place.topic === named)?.topic;
    if (topic === undefined) continue;
    for (const each of partitions) answers.set(partKey({ topic, partition: each.partition }), each);
  }
  return answers;
}

import { fetchV12, fetchV13, fetchV15, fetchV16, fetchV17, type RecordsBatch } from '@platformatic/kafka';
import type { TopicPartition } from '../port.ts';
import { answerWithErrors, errorOfProtocolCode } from './errors.ts';
import { partKey } from './produce.ts';
import type { AbortedTransaction } from './records.ts';
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

export interface FetchAnswer {
  errorCode: number;
  records: readonly RecordsBatch[];
  abortedTransactions: readonly AbortedTransaction[];
  highWatermark: bigint;
}

const versions = [fetchV17.api, fetchV16.api, fetchV15.api, fetchV13.api, fetchV12.api];

const readCommitted = 1;
/** No incremental fetch session: nothing that a broker remembers can disagree with what this side wants. */
const noSession = [0, -1] as const;

/** One fetch request to one leader. Answers by `partKey`. */
export async function fetchOnce(
  wire: Wire,
  leader: number,
  places: readonly FetchPlace[],
  limits: FetchLimits,
): Promise<Map<string, FetchAnswer>> {
  const byTopic = [...Map.groupBy(places, ({ topic }) => topic).values()];
  const answer = await answerWithErrors(
    wire.request(
      leader,
      'fetch',
      versions,
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
    ),
  );
  if (answer.errorCode !== 0) throw errorOfProtocolCode(answer.errorCode, `fetch from broker ${leader}`);
  const answers = new Map<string, FetchAnswer>();
  for (const { topicId, partitions } of answer.responses) {
    const topic = places.find((place) => place.topicId === topicId || place.topic === topicId)?.topic;
    if (topic === undefined) continue;
    for (const { partitionIndex, errorCode, records, abortedTransactions, highWatermark } of partitions) {
      answers.set(partKey({ topic, partition: partitionIndex }), {
        errorCode,
        records: records ?? [],
        abortedTransactions: abortedTransactions ?? [],
        highWatermark,
      });
    }
  }
  return answers;
}

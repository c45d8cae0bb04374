import { listOffsetsV6, listOffsetsV7, listOffsetsV8, listOffsetsV9 } from '@platformatic/kafka';
import { answerWithErrors, errorOfProtocolCode } from './errors.ts';
import type { Wire } from './wire.ts';

const versions = [listOffsetsV9.api, listOffsetsV8.api, listOffsetsV7.api, listOffsetsV6.api];

const timestampOf = { beginning: -2n, end: -1n, committed: -1n } as const;

/**
 * The first or the next offset of partitions that one broker leads. `end` is where new messages come, `committed` the
 * first offset of an open transaction before that.
 */
export async function listOffsets(
  wire: Wire,
  leader: number,
  topic: string,
  partitions: readonly number[],
  at: 'beginning' | 'end' | 'committed',
): Promise<Map<number, bigint>> {
  const answer = await answerWithErrors(
    wire.request(leader, 'list offsets', versions, [
      -1,
      at === 'committed' ? 1 : 0,
      [
        {
          name: topic,
          partitions: partitions.map((partitionIndex) => ({
            partitionIndex,
            currentLeaderEpoch: -1,
            timestamp: timestampOf[at],
          })),
        },
      ],
    ]),
  );
  const found = new Map<number, bigint>();
  for (const { partitionIndex, errorCode, offset } of answer.topics[0]?.partitions ?? []) {
    if (errorCode !== 0) throw errorOfProtocolCode(errorCode, `offsets of ${topic}:${partitionIndex}`);
    found.set(partitionIndex, offset);
  }
  return found;
}

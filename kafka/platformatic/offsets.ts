import { listOffsetsV6, listOffsetsV7, listOffsetsV8, listOffsetsV9 } from '@platformatic/kafka';
import { answerWithErrors, errorOfProtocolCode } from './errors.ts';
import type { Wire } from './wire.ts';

const versions = [listOffsetsV9.api, listOffsetsV8.api, listOffsetsV7.api, listOffsetsV6.api];

const timestampOf = { beginning: -2n, end: -1n } as const;

/** The first or the next offset of partitions that one broker leads; `end` is the end of what is committed. */
export async function listOffsets(
  wire: Wire,
  leader: number,
  topic: string,
  partitions: readonly number[],
  at: 'beginning' | 'end',
): Promise<Map<number, bigint>> {
  const readCommitted = 1;
  const answer = await answerWithErrors(
    wire.request(leader, 'list offsets', versions, [
      -1,
      readCommitted,
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

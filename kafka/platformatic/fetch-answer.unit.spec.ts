import { describe, expect, it } from '@jest/globals';
import { createRecordsBatch, fetchV12, fetchV17, Reader, Writer } from '@platformatic/kafka';
import { readAnswer } from './fetch-answer.ts';

const topicId = '0199c2f0-0000-7000-8000-000000000001';
const records = createRecordsBatch([{ topic: 't', value: Buffer.from('v'), timestamp: 1n }] as never).buffer;

/** As brokers write it: with tags of other leaders in one partition, no records and aborted transactions in the other. */
function answer(version: 12 | 17): Buffer {
  const writer = Writer.create().appendInt32(0).appendInt16(0).appendInt32(0);
  writer.appendUnsignedVarInt(2);
  if (version === 12) writer.appendString('t');
  else writer.appendUUID(topicId);
  writer.appendUnsignedVarInt(3);
  partition(writer, 4, 0);
  writer
    .appendUnsignedVarInt(0)
    .appendInt32(-1)
    .appendUnsignedVarInt(records.length + 1)
    .append(records);
  // one tag: number 1, a leader (8 bytes and its own tags)
  writer.appendUnsignedVarInt(1).appendUnsignedVarInt(1).appendUnsignedVarInt(9);
  writer.appendInt32(2).appendInt32(7).appendTaggedFields();
  partition(writer, 5, 0);
  writer.appendUnsignedVarInt(2).appendInt64(9n).appendInt64(80n).appendTaggedFields();
  writer.appendInt32(-1).appendUnsignedVarInt(0).appendTaggedFields();
  return writer.appendTaggedFields().appendTaggedFields().buffer;
}

function partition(writer: Writer, number: number, errorCode: number): void {
  writer.appendInt32(number).appendInt16(errorCode).appendInt64(100n).appendInt64(99n).appendInt64(0n);
}

describe('a fetch answer', () => {
  it.each([
    [12, fetchV12.parseResponse, 't'],
    [17, fetchV17.parseResponse, topicId],
  ] as const)('of version %i says what the client library reads in it', (version, parseResponse, topic) => {
    const theirs = parseResponse(1, 1, version, Reader.from(answer(version)));
    const own = readAnswer(Reader.from(answer(version)), version);
    expect(own.topics.map((each) => each.topic)).toEqual([topic]);
    expect(theirs.responses[0]!.topicId).toBe(topic);
    const expected = theirs.responses[0]!.partitions.map((each) => ({
      partition: each.partitionIndex,
      errorCode: each.errorCode,
      highWatermark: each.highWatermark,
      abortedTransactions: each.abortedTransactions ?? [],
    }));
    expect(own.topics[0]!.partitions.map(({ records: _, ...rest }) => rest)).toEqual(expected);
    expect(own.topics[0]!.partitions.map((each) => each.records.equals(records))).toEqual([true, false]);
    expect(own.topics[0]!.partitions[1]!.records).toHaveLength(0);
  });

  it('has the error of each partition, and its own', () => {
    const writer = Writer.create().appendInt32(0).appendInt16(6).appendInt32(0).appendUnsignedVarInt(2);
    writer.appendUUID(topicId).appendUnsignedVarInt(2);
    partition(writer, 0, 1);
    writer.appendUnsignedVarInt(0).appendInt32(-1).appendUnsignedVarInt(0).appendTaggedFields();
    const own = readAnswer(Reader.from(writer.appendTaggedFields().appendTaggedFields().buffer), 17);
    expect([own.errorCode, own.topics[0]!.partitions[0]!.errorCode]).toEqual([6, 1]);
  });
});

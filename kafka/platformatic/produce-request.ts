import { createAPI, produceV7, produceV8, produceV9, produceV10, produceV11, Writer } from '@platformatic/kafka';
import type { ProducePart, ProducerIdentity } from './produce.ts';
import { encodeRecordBatch } from './record-batch.ts';

/** What a produce request says, ready to be sent. */
export interface ProduceArguments {
  /** -1: all in-sync replicas; 1: the leader alone. */
  acks: -1 | 1;
  timeoutMs: number;
  timestampMs: number;
  /** One record batch for each (topic, partition), which must differ. */
  parts: readonly ProducePart[];
  identity?: ProducerIdentity;
  transactionalId?: string;
}

/** From this version on, lengths are compact and structures end in tags. */
const firstFlexibleVersion = 9;

/** The produce API with this adapter's record batches, newest version first. Answers are read by the client's own functions. */
export const produceVersions = [
  version(11, produceV11.parseResponse),
  version(10, produceV10.parseResponse),
  version(9, produceV9.parseResponse),
  version(8, produceV8.parseResponse),
  version(7, produceV7.parseResponse),
];

type ParseAnswer = typeof produceV11.parseResponse;

function version(number: number, parseAnswer: ParseAnswer) {
  const isFlexible = number >= firstFlexibleVersion;
  return createAPI<[ProduceArguments], ReturnType<ParseAnswer>>(
    0,
    number,
    (request) => writeRequest(request, isFlexible),
    parseAnswer,
    isFlexible,
    isFlexible,
  );
}

/** Source: Kafka's protocol guide, Produce. */
export function writeRequest(request: ProduceArguments, isFlexible: boolean): Writer {
  const { acks, timeoutMs, transactionalId, parts } = request;
  const writer = Writer.create()
    .appendString(transactionalId, isFlexible)
    .appendInt16(acks)
    .appendInt32(timeoutMs)
    .appendArray(
      [...Map.groupBy(parts, ({ topic }) => topic)],
      (topics, [topic, group]) => {
        topics
          .appendString(topic, isFlexible)
          .appendArray(group, (place, part) => appendPart(place, part, request, isFlexible), isFlexible, isFlexible);
      },
      isFlexible,
      isFlexible,
    );
  return isFlexible ? writer.appendTaggedFields() : writer;
}

function appendPart(writer: Writer, part: ProducePart, request: ProduceArguments, isFlexible: boolean): void {
  const { identity, timestampMs, transactionalId } = request;
  const batch = encodeRecordBatch(part.messages, {
    timestampMs,
    producerId: identity?.producerId,
    producerEpoch: identity?.producerEpoch,
    sequence: identity && part.sequence,
    isTransactional: transactionalId !== undefined,
    expectedBytes: part.bytes,
  });
  writer.appendInt32(part.partition);
  if (isFlexible) writer.appendUnsignedVarInt(batch.length + 1);
  else writer.appendInt32(batch.length);
  writer.append(batch);
}

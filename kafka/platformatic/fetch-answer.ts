import { createAPI, fetchV12, fetchV13, fetchV15, fetchV16, fetchV17, type Reader } from '@platformatic/kafka';

/** What a broker answers for one partition. */
export interface PartitionAnswer {
  partition: number;
  errorCode: number;
  highWatermark: bigint;
  abortedTransactions: readonly AbortedTransaction[];
  /** Record batches as they are in the log; the last one may be cut off. */
  records: Buffer;
}

export interface AbortedTransaction {
  producerId: bigint;
  firstOffset: bigint;
}

export interface FetchAnswers {
  errorCode: number;
  /** `topic`: its name up to version 12, then its id. */
  topics: readonly { topic: string; partitions: readonly PartitionAnswer[] }[];
}

type CreateRequest = typeof fetchV17.createRequest;

/**
 * The fetch API, newest version first, with requests as the client makes them. Its own answers have an object for each record and
 * two buffers for each header, which was most of what reading cost: here records stay bytes (see `records.ts`).
 */
export const fetchVersions = [
  version(17, fetchV17.createRequest),
  version(16, fetchV16.createRequest as CreateRequest),
  version(15, fetchV15.createRequest as CreateRequest),
  version(13, fetchV13.createRequest as CreateRequest),
  version(12, fetchV12.createRequest as CreateRequest),
];

function version(number: number, createRequest: CreateRequest) {
  return createAPI<Parameters<CreateRequest>, FetchAnswers>(1, number, createRequest, (_id, _key, apiVersion, reader) =>
    readAnswer(reader, apiVersion),
  );
}

/** Source: Kafka's protocol guide, Fetch. What is in tags (other leaders, end points) is not needed: metadata says it, too. */
export function readAnswer(reader: Reader, apiVersion: number): FetchAnswers {
  reader.readInt32(); // throttle time
  const errorCode = reader.readInt16();
  reader.readInt32(); // session
  const topics = reader.readArray(() => ({
    topic: apiVersion <= 12 ? reader.readString() : reader.readUUID(),
    partitions: reader.readArray(() => readPartition(reader)),
  }));
  reader.readTaggedFields();
  return { errorCode, topics };
}

function readPartition(reader: Reader): PartitionAnswer {
  const partition = reader.readInt32();
  const errorCode = reader.readInt16();
  const highWatermark = reader.readInt64();
  reader.readInt64(); // last stable offset
  reader.readInt64(); // log start offset
  const abortedTransactions = reader.readArray(() => ({
    producerId: reader.readInt64(),
    firstOffset: reader.readInt64(),
  }));
  reader.readInt32(); // preferred replica
  return { partition, errorCode, highWatermark, abortedTransactions, records: reader.readBytes() };
}

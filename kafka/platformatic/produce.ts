import { initProducerIdV2, initProducerIdV3, initProducerIdV4, initProducerIdV5 } from '@platformatic/kafka';
import { partitionName, sizeOf } from '../outgoing.ts';
import type { OutgoingMessage } from '../port.ts';
import { answerWithErrors } from './errors.ts';
import { produceVersions } from './produce-request.ts';
import type { Wire } from './wire.ts';

// The produce side of the protocol: what goes into a record batch, the answers to produce requests, and producer ids.

/** Messages that go as one record batch to one partition, and their places in the caller's batch. */
export interface Chunk {
  messages: readonly OutgoingMessage[];
  indexes: readonly number[];
  bytes: number;
}

/** Brokers refuse record batches over 1,048,588 bytes by default; a bigger message goes alone and the broker decides. */
const maxChunkBytes = 900_000;

/** Cuts the messages of one partition, in order, into record batches that a broker takes. */
export function chunksOf(
  { messages, indexes }: Pick<Chunk, 'messages' | 'indexes'>,
  maxBytes: number = maxChunkBytes,
): Chunk[] {
  const chunks: Chunk[] = [];
  let from = 0;
  let bytes = 0;
  const close = (to: number) => {
    if (to > from) chunks.push({ messages: messages.slice(from, to), indexes: indexes.slice(from, to), bytes });
    from = to;
    bytes = 0;
  };
  messages.forEach((message, at) => {
    const size = sizeOf(message);
    if (bytes + size > maxBytes) close(at);
    bytes += size;
  });
  close(messages.length);
  return chunks;
}

/** The messages of a chunk in two chunks; of one that has two or more. */
export function halves({ messages, indexes, bytes }: Chunk): Chunk[] {
  const middle = messages.length >> 1;
  return [
    { messages: messages.slice(0, middle), indexes: indexes.slice(0, middle), bytes: bytes / 2 },
    { messages: messages.slice(middle), indexes: indexes.slice(middle), bytes: bytes / 2 },
  ];
}

export interface ProducerIdentity {
  producerId: bigint;
  producerEpoch: number;
}

export interface ProducePart {
  topic: string;
  partition: number;
  messages: readonly OutgoingMessage[];
  /** About how many bytes its record batch will have. */
  bytes: number;
  /** Sequence number of the first message; only with an identity. */
  sequence?: number;
}

export interface ProduceRequest {
  acks: 'all' | 'leader';
  parts: readonly ProducePart[];
  identity?: ProducerIdentity;
  transactionalId?: string;
  deadlineMs: number;
}

export interface PartAnswer {
  errorCode: number;
  message: string | null;
  baseOffset: bigint | null;
}

/** One produce request to one leader. Answers by `partKey`; a partition that the broker left out is missing. */
export async function produce(wire: Wire, leader: number, request: ProduceRequest): Promise<Map<string, PartAnswer>> {
  const answer = await answerWithErrors(
    wire.request(
      leader,
      'produce',
      produceVersions,
      [
        {
          acks: request.acks === 'all' ? -1 : 1,
          // The broker gives up on its replicas before this side gives up on the broker.
          timeoutMs: Math.max(100, Math.floor(request.deadlineMs * 0.8)),
          timestampMs: Date.now(),
          parts: request.parts,
          identity: request.identity,
          transactionalId: request.transactionalId,
        },
      ],
      { deadlineMs: request.deadlineMs },
    ),
  );
  const answers = new Map<string, PartAnswer>();
  for (const { name, partitionResponses } of answer.responses) {
    for (const { index, errorCode, errorMessage, baseOffset } of partitionResponses) {
      answers.set(partKey({ topic: name, partition: index }), {
        errorCode,
        message: errorMessage ?? null,
        baseOffset: baseOffset >= 0n ? baseOffset : null,
      });
    }
  }
  return answers;
}

const initVersions = [initProducerIdV5.api, initProducerIdV4.api, initProducerIdV3.api, initProducerIdV2.api];

/**
 * Asks for a producer id; with a transactional id it fences the older producers of that id. The client's own defaults (0, 0)
 * would fence the newcomer instead: -1 and -1 is what the protocol asks for.
 */
export async function initProducer(
  wire: Wire,
  target: number | 'any',
  options: { transactionalId?: string; transactionTimeoutMs?: number } = {},
): Promise<ProducerIdentity> {
  const { transactionalId, transactionTimeoutMs } = options;
  const { producerId, producerEpoch } = await wire.request(target, 'init producer id', initVersions, [
    transactionalId ?? null,
    transactionTimeoutMs ?? 60_000,
    -1n,
    -1,
  ]);
  return { producerId, producerEpoch };
}

export function partKey({ topic, partition }: { topic: string; partition: number }): string {
  return partitionName(topic, partition);
}

/** For people. */
export function placeOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}[${partition}]`;
}

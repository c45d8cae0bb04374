import { type PartitionMessages, sizeOf } from '../outgoing.ts';

/**
 * What one request may carry. A partition's part of a request is one record batch, and the broker takes no batch above
 * `message.max.bytes` (1,048,588 by default, can differ by topic); a broker closes connections on huge requests; and
 * kafkajs copies a partition's list once for each message.
 */
export interface RequestLimits {
  partitionBytes: number;
  partitionMessages: number;
  requestBytes: number;
}

export const requestLimits: RequestLimits = {
  partitionBytes: 900_000,
  partitionMessages: 2000,
  requestBytes: 16_000_000,
};

/**
 * Cuts grouped messages into requests that are sent one after the other. A partition is in a request at most once, its
 * messages keep their order over the requests. A message above the limit gets a part of its own.
 */
export function* requestsOf(
  groups: readonly PartitionMessages[],
  limits: RequestLimits = requestLimits,
): Generator<PartitionMessages[]> {
  const rests = groups.map((group) => ({ group, next: 0 }));
  while (rests.some(({ group, next }) => next < group.messages.length)) {
    const request: PartitionMessages[] = [];
    let requestBytes = 0;
    for (const rest of rests) {
      const end = endOfPart(rest.group, rest.next, limits, limits.requestBytes - requestBytes, request.length === 0);
      if (end.next === rest.next) continue;
      request.push(slice(rest.group, rest.next, end.next));
      requestBytes += end.bytes;
      rest.next = end.next;
    }
    yield request;
  }
}

/** Part of a partition's messages, `from` included, `to` not. */
export function slice(part: PartitionMessages, from: number, to: number): PartitionMessages {
  return { ...part, messages: part.messages.slice(from, to), indexes: part.indexes.slice(from, to) };
}

function endOfPart(
  { messages }: PartitionMessages,
  from: number,
  limits: RequestLimits,
  bytesLeft: number,
  firstOfRequest: boolean,
): { next: number; bytes: number } {
  const room = Math.min(limits.partitionBytes, bytesLeft);
  const last = Math.min(messages.length, from + limits.partitionMessages);
  let bytes = 0;
  for (let at = from; at < last; at++) {
    const size = sizeOf(messages[at]!);
    const mustGo = at === from && (firstOfRequest || size > limits.partitionBytes);
    if (bytes + size > room && !mustGo) return { next: at, bytes };
    bytes += size;
  }
  return { next: last, bytes };
}

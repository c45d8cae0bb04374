import kafkajs, {
  type ICustomPartitioner,
  type Message,
  type Producer,
  type RecordMetadata,
  type Transaction,
} from 'kafkajs';
import { KafkaError } from '../errors.ts';
import type { PartitionMessages } from '../outgoing.ts';
import type { KafkaConnection } from '../port.ts';
import { type Client, createClient } from './client.ts';
import { SingleAttempt } from './single-attempt.ts';

const { KafkaJSProtocolError } = kafkajs;

/** Sends one request's worth of messages and says which partitions the brokers answered for. Thrown away after any fault. */
export interface OneShotProducer {
  send(parts: readonly PartitionMessages[]): Promise<Answer[]>;
  /** Ends it at once; what is in progress fails. */
  kill(): void;
}

/** A broker's acknowledgement for one partition. */
export interface Answer {
  topic: string;
  partition: number;
  baseOffset: bigint | null;
}

/**
 * The partition is the message's own. kafkajs leaves out partitions that it does not know, without a word, so that is
 * checked here. The error's type makes it read the topic's metadata again, a few times, for partitions that are new; a
 * TypeError ends its retries, which go on by themselves in a client that was given up.
 */
function explicitPartition(client: Client, attempt: SingleAttempt): ICustomPartitioner {
  let missed = 0;
  return () =>
    ({ topic, partitionMetadata, message }) => {
      if (client.killed) throw new TypeError('This Kafka client is closed');
      const partition = message.partition as number;
      if (partitionMetadata.some((known) => known.partitionId === partition)) {
        attempt.count();
        return partition;
      }
      attempt.forget();
      throw new KafkaJSProtocolError({
        type: 'UNKNOWN_TOPIC_OR_PARTITION',
        code: 3,
        retriable: missed++ < 3,
        message: `${topic} has no partition ${partition}`,
      } as never);
    };
}

/** Few and short: the guard tries again by itself, on a new producer. */
const retry = { retries: 2, initialRetryTime: 50, maxRetryTime: 300, multiplier: 2, factor: 0.2 };

/** Connects a new idempotent producer (a new producer id, sequences from 0). */
export async function openProducer(connection: KafkaConnection, requestTimeoutMs: number): Promise<OneShotProducer> {
  const client = createClient(connection, {
    requestTimeoutMs,
    retry,
  });
  const attempt = new SingleAttempt();
  const producer = client.kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner: explicitPartition(client, attempt),
    metadataMaxAge: 60_000,
  });
  await connectOrKill(client, producer);
  return {
    send: (parts) => sendParts(producer, attempt, parts, requestTimeoutMs),
    kill: () => client.kill(),
  };
}

/** A producer that holds a transactional id. `begin` makes InitProducerId the first time it is called. */
export interface TransactionalProducer {
  begin(): Promise<OpenTransaction>;
  kill(): void;
}

export interface OpenTransaction {
  send(parts: readonly PartitionMessages[]): Promise<Answer[]>;
  commit(): Promise<void>;
  abort(): Promise<void>;
}

export async function openTransactionalProducer(
  connection: KafkaConnection,
  options: { transactionalId: string; transactionTimeoutMs: number; requestTimeoutMs: number },
): Promise<TransactionalProducer> {
  const client = createClient(connection, { requestTimeoutMs: options.requestTimeoutMs, retry });
  const attempt = new SingleAttempt();
  const producer = client.kafka.producer({
    transactionalId: options.transactionalId,
    transactionTimeout: options.transactionTimeoutMs,
    // While the broker finishes the transaction before, it answers CONCURRENT_TRANSACTIONS: ask again soon, for about 3 s.
    retry: { retries: 14, initialRetryTime: 4, maxRetryTime: 500, multiplier: 1.6, factor: 0.2 },
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner: explicitPartition(client, attempt),
    metadataMaxAge: 60_000,
  });
  await connectOrKill(client, producer);
  return {
    async begin() {
      const transaction = await producer.transaction();
      return {
        send: (parts) => sendParts(transaction, attempt, parts, options.requestTimeoutMs),
        commit: () => transaction.commit(),
        abort: () => transaction.abort(),
      };
    },
    kill: () => client.kill(),
  };
}

async function connectOrKill(client: Client, producer: Producer): Promise<void> {
  try {
    await producer.connect();
  } catch (error) {
    client.kill();
    throw error;
  }
}

async function sendParts(
  sender: Pick<Producer | Transaction, 'sendBatch'>,
  attempt: SingleAttempt,
  parts: readonly PartitionMessages[],
  requestTimeoutMs: number,
): Promise<Answer[]> {
  const topics = new Map<string, Message[]>();
  for (const part of parts) {
    const messages = topics.get(part.topic) ?? [];
    topics.set(part.topic, messages);
    for (const { partition, key, value, headers } of part.messages) messages.push({ partition, key, value, headers });
  }
  attempt.begin(
    parts.reduce((sum, { messages }) => sum + messages.length, 0),
    parts.length,
  );
  try {
    const answered = await sender.sendBatch({
      acks: -1,
      timeout: requestTimeoutMs,
      topicMessages: [...topics].map(([topic, messages]) => ({ topic, messages })),
    });
    return answered.map(answerOf);
  } catch (cause) {
    if (!attempt.exceeded) throw cause;
    // What failed first is known to kafkajs alone, which logs it.
    throw new KafkaError('KAFKA_NOT_ACKNOWLEDGED', 'A part of the request failed', { retryable: true, cause });
  }
}

function answerOf({ topicName, partition, baseOffset }: RecordMetadata): Answer {
  const offset = baseOffset === undefined ? -1n : BigInt(baseOffset);
  return { topic: topicName, partition, baseOffset: offset >= 0n ? offset : null };
}

import { metadataV10, metadataV11, metadataV12 } from '@platformatic/kafka';
import { KafkaError } from '../errors.ts';
import type { KafkaConnection } from '../port.ts';
import { answerWithErrors, toKafkaError } from './errors.ts';
import { type Address, type Api, isAnswer, keyOf, type Link, openLink, parseAddress, within } from './link.ts';

/**
 * The connections of one publisher, reader, admin or consumer, on the client library's protocol layer (one socket, one
 * versioned function for each Kafka API). Its high-level clients are not used: they retry inside, for a time that is theirs,
 * deduplicate calls and answer for a whole batch, so that neither a deadline nor "which partitions are stored" can be kept.
 *
 * Rules: every request has a hard deadline, and so has the wait for its connection; a request that failed for any reason but a broker's answer takes its
 * connection with it; nothing here retries.
 */
export class Wire {
  readonly #connection: KafkaConnection;
  readonly #links = new Map<string, Promise<Link>>();
  readonly #failures: Map<string, number>;
  readonly #requestTimeoutMs: number;
  #brokers = new Map<number, Address>();
  #topics = new Map<string, TopicMetadata>();
  #closed = false;

  /** `requestTimeoutMs`: deadline of a request that does not give its own. */
  constructor(connection: KafkaConnection, options: { requestTimeoutMs?: number } = {}) {
    this.#connection = connection;
    this.#failures = failuresOf.get(connection) ?? new Map();
    failuresOf.set(connection, this.#failures);
    this.#requestTimeoutMs = options.requestTimeoutMs ?? connection.requestTimeoutMs ?? 10_000;
  }

  get requestTimeoutMs(): number {
    return this.#requestTimeoutMs;
  }

  /** Sends a request to a broker (`any`: whichever answers) and gives its answer. Throws the port's errors. */
  async request<Answer>(
    target: number | 'any',
    what: string,
    versions: readonly Api<Answer>[],
    args: readonly unknown[] | ((version: number) => readonly unknown[]),
    options: { deadlineMs?: number } = {},
  ): Promise<Answer> {
    const deadlineMs = options.deadlineMs ?? this.#requestTimeoutMs;
    const link = await (target === 'any'
      ? this.#anyLink(what, deadlineMs)
      : this.#linkToNode(target, what, deadlineMs));
    const api = link.choose(versions, what);
    try {
      return await within(deadlineMs, what, (settle) =>
        api(link.connection, ...([...(typeof args === 'function' ? args(api.version) : args), settle] as never[])),
      );
    } catch (error) {
      // An error code in an answer says that the connection works; after anything else it is thrown away.
      if (isAnswer(error)) throw error;
      this.#drop(link);
      const failure = toKafkaError(error, what);
      sent.add(failure);
      throw failure;
    }
  }

  /** Fresh metadata of the topics; a topic that is not there is missing in the answer. */
  async refresh(topics: readonly string[]): Promise<Map<string, TopicMetadata>> {
    const answer = await this.#metadata([...topics]);
    const found = new Map<string, TopicMetadata>();
    for (const topic of topics) {
      const metadata = answer.get(topic);
      if (metadata) {
        this.#topics.set(topic, metadata);
        found.set(topic, metadata);
      } else this.#topics.delete(topic);
    }
    return found;
  }

  /** All topics that are not internal. */
  async allTopics(): Promise<Map<string, TopicMetadata>> {
    return this.#metadata(null);
  }

  /** Metadata from the cache. */
  known(topic: string): TopicMetadata | undefined {
    return this.#topics.get(topic);
  }

  forget(topics?: Iterable<string>): void {
    if (!topics) this.#topics.clear();
    else for (const topic of topics) this.#topics.delete(topic);
  }

  /** Where a broker is, from an answer that named it (a coordinator). */
  learnBroker(nodeId: number, address: Address): void {
    this.#brokers.set(nodeId, address);
  }

  /** Brokers that the last metadata named. */
  get brokers(): ReadonlyMap<number, Address> {
    return this.#brokers;
  }

  /** Throws all connections away; the next request opens new ones. */
  dropAll(): void {
    for (const link of this.#links.values()) {
      link.then(
        ({ connection }) => connection.socket?.destroy(),
        () => undefined,
      );
    }
    this.#links.clear();
  }

  close(): void {
    this.#closed = true;
    this.dropAll();
  }

  async #metadata(topics: string[] | null): Promise<Map<string, TopicMetadata>> {
    const answer = await answerWithErrors(
      this.request('any', 'metadata', [metadataV12.api, metadataV11.api, metadataV10.api], [topics, false, false]),
    );
    this.#brokers = new Map(answer.brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]));
    const found = new Map<string, TopicMetadata>();
    for (const { name, topicId, isInternal, partitions } of answer.topics) {
      if (!name || isInternal || partitions.length === 0) continue;
      const sorted = [...partitions].sort((one, other) => one.partitionIndex - other.partitionIndex);
      found.set(name, {
        topic: name,
        id: topicId,
        partitions: sorted.map(({ partitionIndex, leaderId, leaderEpoch, replicaNodes, isrNodes }) => ({
          partition: partitionIndex,
          leader: leaderId,
          leaderEpoch,
          replicas: replicaNodes,
          inSyncReplicas: isrNodes,
        })),
      });
    }
    return found;
  }

  async #linkToNode(nodeId: number, what: string, deadlineMs: number): Promise<Link> {
    const address = this.#brokers.get(nodeId);
    if (!address) {
      throw new KafkaError('KAFKA_UNAVAILABLE', `${what}: broker ${nodeId} is not known`, { retryable: true });
    }
    return this.#linkWithin(address, what, deadlineMs);
  }

  /** A connection to any broker. Those that failed come last, also for wires that are made anew. */
  async #anyLink(what: string, deadlineMs: number): Promise<Link> {
    const addresses = [...this.#connection.brokers.map(parseAddress), ...this.#brokers.values()];
    const seen = new Map(addresses.map((address) => [keyOf(address), address]));
    const failedMs = (address: Address) => this.#failures.get(keyOf(address)) ?? 0;
    const candidates = [...seen.values()].sort((one, other) => failedMs(one) - failedMs(other));
    let last: unknown;
    for (const address of candidates) {
      try {
        return await this.#linkWithin(address, what, deadlineMs / candidates.length);
      } catch (error) {
        last = error;
      }
    }
    throw last ?? new KafkaError('KAFKA_BAD_ARGUMENT', 'no brokers are configured', { retryable: false });
  }

  /**
   * A frozen broker still takes connections, and would then cost the whole time for connecting: who asks waits no longer than its
   * request may take. Connecting goes on, so who asks again may find it done.
   */
  async #linkWithin(address: Address, what: string, deadlineMs: number): Promise<Link> {
    try {
      return await within(deadlineMs, `${what}: connect to ${keyOf(address)}`, (settle) => {
        this.#link(address, what).then((link) => settle(null, link), settle);
      });
    } catch (error) {
      this.#failures.set(keyOf(address), performance.now());
      throw error;
    }
  }

  #link(address: Address, what: string): Promise<Link> {
    if (this.#closed) {
      return Promise.reject(new KafkaError('KAFKA_CLOSED', `${what}: the connection is closed`, { retryable: false }));
    }
    const key = keyOf(address);
    const existing = this.#links.get(key);
    if (existing) return existing;
    const forget = () => {
      if (this.#links.get(key) === opening) this.#links.delete(key);
    };
    const opening: Promise<Link> = openLink(this.#connection, address, forget).catch((error) => {
      forget();
      throw toKafkaError(error, `${what}: ${key}`);
    });
    this.#links.set(key, opening);
    return opening;
  }

  #drop(link: Link): void {
    this.#links.delete(link.key);
    this.#failures.set(link.key, performance.now());
    link.connection.socket?.destroy();
  }
}

/** When each broker failed last (monotonic ms): shared by the wires of one port, as a frozen broker costs a whole time-out. */
const failuresOf = new WeakMap<KafkaConnection, Map<string, number>>();

const sent = new WeakSet<object>();

/** Whether the request of this error may have reached the broker: it was sent, and only its answer is missing. */
export function mayHaveArrived(error: unknown): boolean {
  return typeof error === 'object' && error !== null && sent.has(error);
}

export interface TopicMetadata {
  topic: string;
  /** The topic's UUID: another one means that the topic was deleted and made anew. */
  id: string;
  /** Sorted by number; `leader` is -1 while there is none. */
  partitions: {
    partition: number;
    leader: number;
    leaderEpoch: number;
    replicas: number[];
    inSyncReplicas: number[];
  }[];
}

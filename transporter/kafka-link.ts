import { randomUUID } from 'node:crypto';
import { KafkaError } from '../kafka/errors.ts';
import type { IncomingMessage, Logger, PartitionReader, Publisher, ReadingKafkaPort } from '../kafka/port.ts';
import { DetouringPublisher } from './detour.ts';
import { ensureTopics } from './topics.ts';

export interface KafkaLinkOptions {
  port: ReadingKafkaPort;
  nodeId: string;
  inbox: string;
  all: string;
  topicConfig: Readonly<Record<string, string>>;
  partitions: number;
  replicationFactor: number;
  maxFetchBytes: number;
  fetchWaitMs: number;
  graceMs: number;
  logger: Logger;
  onPacket(message: IncomingMessage): void;
  /** Something was read, a probe of the link's own included. */
  onHeard(): void;
  onJoined(): void;
  onAway(error: KafkaError): void;
}

const maxHeld = 10_000;

/** Where there is another way, a broker that does not answer is given up so soon: what it took all the same is dropped as seen. */
const soonMs = 1_000;

/** Header that marks a message of the link itself. */
const probeHeader = 'probe';

/**
 * Keeps one node joined to Kafka, for ever. Joined means proven: a probe was published to both topics and read back. The
 * link is left when the reader or the publisher has trouble for longer than the grace time and a new probe does not come
 * back; then both clients are thrown away and new ones join.
 */
export class KafkaLink {
  readonly #options: KafkaLinkOptions;
  /** Where to read each partition on after the clients were thrown away; its end before anything was read. */
  readonly #next = new Map<string, bigint>();
  readonly #probes = new Map<string, { missing: Set<string>; done(): void }>();
  /** Packets that were read before the way back was proven: their answers could not be sent yet. */
  #held: IncomingMessage[] = [];
  #publisher: Publisher | null = null;
  #reader: PartitionReader | null = null;
  #readerState: 'starting' | 'reading' | 'disconnected' = 'starting';
  #onReading: (() => void) | null = null;
  #lose: ((error: KafkaError) => void) | null = null;
  #suspecting = false;
  #stop = new AbortController();
  #running: Promise<void> | null = null;
  joined = false;
  /** Whether a dead broker can be gone around: topics can have several partitions, so packets need numbers. */
  hasDetours = false;
  lastError: KafkaError | null = null;

  constructor(options: KafkaLinkOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#lose?.(gone('the transporter stops'));
    this.#onReading?.();
    for (const { done } of this.#probes.values()) done();
    await Promise.race([this.#running, new Promise((resolve) => setTimeout(resolve, 1_500).unref())]);
  }

  publisher(): Publisher {
    this.#publisher ??= this.#openPublisher();
    return this.#publisher;
  }

  /** Partitions that should be read and are not, because their broker is away. */
  get unread(): number {
    return this.#reader?.unread ?? 0;
  }

  #openPublisher(): Publisher {
    const { port, graceMs } = this.#options;
    if (!this.hasDetours) return port.publisher({ acks: 'leader', deliveryTimeoutMs: graceMs });
    const deliveryTimeoutMs = Math.min(graceMs, soonMs);
    const publisher = port.publisher({ acks: 'leader', triedOnce: true, deliveryTimeoutMs });
    return new DetouringPublisher({ publisher, graceMs });
  }

  /** Somebody has reason to think that the link is dead: a probe decides. */
  suspect(reason: KafkaError): void {
    if (!this.joined || this.#suspecting) return;
    this.#suspecting = true;
    void this.#probe(this.#options.graceMs)
      .then(
        () => undefined,
        () => this.#lose?.(reason),
      )
      .finally(() => {
        this.#suspecting = false;
      });
  }

  async #run(): Promise<void> {
    const { logger, onJoined, onAway } = this.#options;
    for (let attempt = 0; !this.#stop.signal.aborted; attempt++) {
      try {
        await this.#join();
      } catch (error) {
        if (this.#stop.signal.aborted) break;
        this.lastError = error as KafkaError;
        if (attempt === 0) logger.warn(`Kafka is not there yet, trying on: ${(error as Error).message}`);
        else logger.debug(`Joining failed: ${(error as Error).message}`);
        await this.#throwClientsAway();
        await this.#pause(Math.min(1_000, 100 * 2 ** attempt) * (0.75 + Math.random() * 0.5));
        continue;
      }
      attempt = -1;
      const lost = new Promise<KafkaError>((resolve) => {
        this.#lose = resolve;
      });
      this.joined = true;
      this.lastError = null;
      if (this.#stop.signal.aborted) break;
      onJoined();
      for (const message of this.#held.splice(0)) this.#deliver(message);
      if (this.#readerState === 'disconnected') this.#readerLost(gone('the reader was lost while joining'));
      const error = await lost;
      this.#lose = null;
      this.joined = false;
      if (this.#stop.signal.aborted) break;
      this.lastError = error;
      onAway(error);
      await this.#throwClientsAway();
    }
    this.joined = false;
    await this.#throwClientsAway();
  }

  async #join(): Promise<void> {
    const { port, inbox, all, topicConfig, partitions, replicationFactor, graceMs } = this.#options;
    const { topics, brokers } = await ensureTopics(port, [inbox, all], {
      config: topicConfig,
      partitions,
      replicationFactor,
      signal: this.#stop.signal,
    });
    if (this.#stop.signal.aborted) return;
    this.hasDetours = brokers > 1 || [...topics.values()].some((count) => count > 1);
    const reading = new Promise<void>((resolve) => {
      this.#onReading = resolve;
    });
    this.#startReader(topics);
    await within(reading, graceMs + 2_000, 'the reader found no broker to read from');
    this.#onReading = null;
    await this.#probe(graceMs + 2_000);
  }

  #startReader(topics: ReadonlyMap<string, number>): void {
    const { port, maxFetchBytes, fetchWaitMs } = this.#options;
    this.#readerState = 'starting';
    const reader = port.reader({
      partitions: [...topics].flatMap(([topic, count]) =>
        Array.from({ length: count }, (_, partition) => ({
          topic,
          partition,
          from: this.#next.get(`${topic}:${partition}`) ?? ('end' as const),
        })),
      ),
      enough: 'one of each topic',
      maxWaitMs: fetchWaitMs,
      maxBytes: maxFetchBytes,
      // A position that is gone means that packets are gone; those before it are too old by now.
      outOfRange: 'end',
      onMessages: (messages) => this.#received(messages),
      onStateChange: (state, error) => {
        if (this.#reader !== reader) return;
        this.#readerState = state;
        if (state === 'reading') this.#onReading?.();
        else this.#readerLost(error ?? gone('the reader is disconnected'));
      },
    });
    this.#reader = reader;
    void reader.start();
  }

  #readerLost(error: KafkaError): void {
    this.lastError = error;
    if (!this.joined) return;
    // A topic that was deleted does not come back by waiting.
    if (error.code === 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION') this.#lose?.(error);
    else this.suspect(error);
  }

  #received(messages: readonly IncomingMessage[]): void {
    this.#options.onHeard();
    for (const message of messages) {
      this.#next.set(`${message.topic}:${message.partition}`, message.offset + 1n);
      const probe = message.headers[probeHeader]?.toString();
      if (probe !== undefined) this.#probeCameBack(probe, message.topic);
      else if (this.joined) this.#deliver(message);
      else if (this.#held.length < maxHeld) this.#held.push(message);
    }
  }

  #deliver(message: IncomingMessage): void {
    try {
      this.#options.onPacket(message);
    } catch (error) {
      this.#options.logger.error('A packet could not be handled', error);
    }
  }

  /** Publishes to both topics, again where that failed, until both were read, by whichever partition. */
  async #probe(timeoutMs: number): Promise<void> {
    const { inbox, all } = this.#options;
    const id = randomUUID();
    const headers = { [probeHeader]: id };
    const messages = [inbox, all].map((topic) => ({ topic, partition: 0, key: null, value: Buffer.alloc(0), headers }));
    const cameBack = new Promise<void>((resolve) => {
      this.#probes.set(id, { missing: new Set([inbox, all]), done: resolve });
    });
    const deadline = performance.now() + timeoutMs;
    try {
      for (;;) {
        if (this.#stop.signal.aborted) throw gone('the transporter stops');
        const { failed } = await this.publisher().publish(messages);
        const error = failed[0]?.error;
        if (!error) break;
        if (performance.now() >= deadline) throw error;
        await this.#pause(50);
      }
      await within(cameBack, Math.max(1, deadline - performance.now()), 'a probe did not come back');
    } finally {
      this.#probes.delete(id);
    }
  }

  #probeCameBack(id: string, topic: string): void {
    const probe = this.#probes.get(id);
    probe?.missing.delete(topic);
    if (probe?.missing.size === 0) probe.done();
  }

  async #throwClientsAway(): Promise<void> {
    const reader = this.#reader;
    const publisher = this.#publisher;
    this.#reader = null;
    this.#publisher = null;
    this.#readerState = 'starting';
    // A client that does not close is left behind: it has no connection any more, or loses it by its own deadlines.
    const closing = Promise.allSettled([reader?.stop(), publisher?.close()]);
    await Promise.race([closing, new Promise((resolve) => setTimeout(resolve, 1_000).unref())]);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#stop.signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#stop.signal.addEventListener('abort', done);
    });
  }
}

async function within(promise: Promise<void>, timeoutMs: number, complaint: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(gone(`${complaint} within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
    // Nobody waits for it any more.
    promise.catch(() => undefined);
  }
}

function gone(message: string): KafkaError {
  return new KafkaError('KAFKA_UNAVAILABLE', message, { retryable: true });
}

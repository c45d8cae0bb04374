import { KafkaError } from '../errors.ts';
import { Tenure } from '../kafkajs/tenure.ts';
import { partitionName } from '../outgoing.ts';
import type { Consumer, ConsumerOptions, ConsumerStatus, KafkaConnection, TopicPartition } from '../port.ts';
import { toKafkaError } from './errors.ts';
import { Fetcher } from './fetcher.ts';
import { GroupMember } from './group-member.ts';
import { PartitionWork } from './partition-work.ts';

const defaults = {
  sessionTimeoutMs: 10_000,
  heartbeatIntervalMs: 2_000,
  rebalanceTimeoutMs: 15_000,
  maxWaitMs: 500,
  maxBytesPerPartition: 1024 * 1024,
  concurrency: 3,
  stopTimeoutMs: 10_000,
};

type Settings = ConsumerOptions & typeof defaults;

/**
 * A group consumer: joins, works on what it was given for one tenure (until the next rebalance, or until the membership
 * is lost), joins again, for ever. Each tenure has a fetcher of its own.
 */
export class PlatformaticConsumer implements Consumer {
  readonly #connection: KafkaConnection;
  readonly #settings: Settings;
  readonly #paused = new Set<string>();
  #member: GroupMember;
  #running: Promise<void> | null = null;
  #stopping: Promise<void> | null = null;
  #tenure: Tenure | null = null;
  #fetcher: Fetcher | null = null;
  #work: PartitionWork | null = null;
  #endTenure: (() => void) | null = null;
  #wakePause: (() => void) | null = null;
  #state: ConsumerStatus['state'] = 'starting';
  #lastError: KafkaError | null = null;
  #lastProgressMs = performance.now();

  constructor(connection: KafkaConnection, options: ConsumerOptions) {
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    this.#settings = { ...defaults, ...given } as Settings;
    checkOptions(this.#settings);
    this.#connection = connection;
    this.#member = new GroupMember(connection, this.#settings);
  }

  async start(): Promise<void> {
    if (this.#stopping) throw new KafkaError('KAFKA_CLOSED', 'the consumer was stopped', { retryable: false });
    this.#running ??= this.#run();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) {
      this.#paused.add(partitionName(topic, partition));
      this.#fetcher?.pause({ topic, partition }, true);
    }
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) {
      this.#paused.delete(partitionName(topic, partition));
      this.#fetcher?.pause({ topic, partition }, false);
    }
  }

  status(): ConsumerStatus {
    const fetchMs = this.#fetcher?.lastFetchMs ?? 0;
    return {
      state: this.#state,
      assigned: this.#tenure?.partitions ?? [],
      lastProgressMs: Math.max(this.#lastProgressMs, fetchMs),
      lastError: this.#lastError,
    };
  }

  async #stop(): Promise<void> {
    const work = this.#work;
    if (work) await work.finish(this.#settings.stopTimeoutMs);
    this.#endTenure?.();
    this.#member.interrupt();
    this.#wakePause?.();
    await this.#running;
    await this.#member.leave();
    this.#member.close();
    this.#state = 'stopped';
  }

  async #run(): Promise<void> {
    for (let attempt = 0; !this.#stopping; attempt++) {
      try {
        const partitions = await this.#member.join();
        attempt = 0;
        await this.#serve(partitions);
      } catch (error) {
        if (this.#stopping) break;
        this.#failed(error);
        // A group that is in the middle of a rebalance wants its members back at once.
        if (this.#lastError?.code !== 'KAFKA_NOT_OWNER') {
          this.#member.reconnect();
          await this.#pauseMs(backoffMs(attempt));
        } else await this.#pauseMs(20);
      }
      if (!this.#stopping && this.#state !== 'starting') this.#state = 'rejoining';
    }
  }

  /** One tenure: from the assignment to the next rebalance. */
  async #serve(partitions: TopicPartition[]): Promise<void> {
    const tenure = new Tenure(partitions, this.#settings, performance.now());
    const ended = new Promise<void>((resolve) => {
      this.#endTenure = resolve;
    });
    this.#tenure = tenure;
    const work = new PartitionWork({
      settings: this.#settings,
      tenure,
      commit: (position) => this.#member.commit(position),
      isPaused: (name) => this.#paused.has(name),
      onProgress: () => {
        this.#lastProgressMs = performance.now();
      },
      onError: (error) => this.#failed(error),
      onLost: () => this.#endTenure?.(),
      seek: (partition, offset) => this.#fetcher?.seek(partition, offset),
    });
    this.#work = work;
    const beating = this.#beat(tenure, work);
    try {
      // A stop may have come while this member joined.
      if (!this.#stopping) void this.#begin(tenure, work);
      await ended;
      await work.finish(this.#settings.rebalanceTimeoutMs);
    } finally {
      beating.stop();
      tenure.end();
      work.abort();
      this.#endTenure = null;
      const fetcher = this.#fetcher;
      this.#fetcher = null;
      await fetcher?.stop();
      this.#tenure = null;
      this.#work = null;
      await this.#tellRevoked(partitions);
    }
  }

  /** Finds the start positions, for as long as it takes, and begins to fetch. */
  async #begin(tenure: Tenure, work: PartitionWork): Promise<void> {
    for (let attempt = 0; !tenure.over && !this.#stopping; attempt++) {
      try {
        const positions = await this.#positions(tenure.partitions);
        if (tenure.over || this.#stopping) return;
        this.#fetch(positions, work);
        tenure.ready = true;
        this.#state = 'running';
        return;
      } catch (error) {
        this.#failed(error);
        await this.#pauseMs(backoffMs(attempt));
      }
    }
  }

  async #positions(partitions: readonly TopicPartition[]) {
    const wanted = new Map<string, bigint>();
    if (partitions.length === 0) return [];
    for (const { topic, partition, offset } of (await this.#settings.onAssigned?.(partitions)) ?? []) {
      wanted.set(partitionName(topic, partition), offset);
    }
    const open = partitions.filter(({ topic, partition }) => !wanted.has(partitionName(topic, partition)));
    if (open.length > 0) {
      for (const { topic, partition, offset } of await this.#member.committed(open)) {
        wanted.set(partitionName(topic, partition), offset);
      }
    }
    return partitions.map(({ topic, partition }) => ({
      topic,
      partition,
      from: wanted.get(partitionName(topic, partition)) ?? ('beginning' as const),
    }));
  }

  #fetch(positions: (TopicPartition & { from: bigint | 'beginning' })[], work: PartitionWork): void {
    const { maxWaitMs, maxBytesPerPartition, concurrency, onOffsetOutOfRange } = this.#settings;
    const fetcher = new Fetcher(this.#connection, {
      maxWaitMs,
      maxBytesPerPartition,
      maxBytes: maxBytesPerPartition * Math.max(4, concurrency),
      answerTimeoutMs: this.#connection.requestTimeoutMs ?? 5_000,
      onBatch: (batch) => work.take(batch),
      onOutOfRange: async ({ recreated: _, ...place }) => {
        this.#connection.logger?.warn(
          `${place.topic}[${place.partition}]: position ${place.offset} is gone (${place.beginning} to ${place.end})`,
        );
        if (!onOffsetOutOfRange) return place.beginning;
        return onOffsetOutOfRange(place);
      },
      onStateChange: (state, error) => {
        if (state === 'disconnected' && error) this.#failed(error);
      },
    });
    this.#fetcher = fetcher;
    fetcher.add(positions);
    for (const { topic, partition } of positions) {
      if (this.#paused.has(partitionName(topic, partition))) fetcher.pause({ topic, partition }, true);
    }
  }

  /** Heartbeats by a timer, and a look whether the group may have given the partitions away. */
  #beat(tenure: Tenure, work: PartitionWork): { stop(): void } {
    const { heartbeatIntervalMs } = this.#settings;
    let nextMs = performance.now() + heartbeatIntervalMs;
    let asking = false;
    const beat = async () => {
      asking = true;
      try {
        const answer = await this.#member.heartbeat();
        const nowMs = performance.now();
        nextMs = nowMs + heartbeatIntervalMs;
        if (answer === 'accepted') {
          tenure.confirm(nowMs);
          if (tenure.ready) this.#state = 'running';
        } else if (answer === 'rebalance') {
          tenure.announceRebalance(nowMs);
          this.#endTenure?.();
        } else {
          tenure.end();
          this.#endTenure?.();
        }
        this.#lastProgressMs = nowMs;
      } catch (error) {
        this.#failed(error);
        if (this.#state === 'running') this.#state = 'rejoining';
        nextMs = performance.now() + Math.min(500, heartbeatIntervalMs);
      } finally {
        asking = false;
      }
    };
    const timer = setInterval(() => {
      const nowMs = performance.now();
      if (!tenure.holds(nowMs)) {
        work.abort();
        this.#endTenure?.();
      } else if (!asking && nowMs >= nextMs) void beat();
    }, 50);
    return { stop: () => clearInterval(timer) };
  }

  async #tellRevoked(partitions: readonly TopicPartition[]): Promise<void> {
    try {
      await this.#settings.onRevoked?.(partitions);
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    this.#lastError = toKafkaError(error, `group ${this.#settings.groupId}`);
    this.#connection.logger?.debug(`kafka: ${this.#lastError.message}`);
  }

  #pauseMs(ms: number): Promise<void> {
    if (this.#stopping) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wakePause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function checkOptions({ groupId, topics, sessionTimeoutMs, heartbeatIntervalMs }: Settings): void {
  const complain = (what: string) => {
    throw new KafkaError('KAFKA_BAD_ARGUMENT', `consumer: ${what}`, { retryable: false });
  };
  if (typeof groupId !== 'string' || groupId === '') complain('groupId must be a non-empty string');
  if (!Array.isArray(topics) || topics.length === 0 || topics.some((topic) => typeof topic !== 'string' || !topic)) {
    complain('topics must be a non-empty list of names');
  }
  if (heartbeatIntervalMs >= sessionTimeoutMs) {
    complain(`heartbeatIntervalMs (${heartbeatIntervalMs}) must be less than sessionTimeoutMs (${sessionTimeoutMs})`);
  }
}

/** 50 ms, doubled up to two seconds. */
function backoffMs(attempt: number): number {
  return Math.min(2_000, 50 * 2 ** attempt) * (0.75 + Math.random() * 0.5);
}

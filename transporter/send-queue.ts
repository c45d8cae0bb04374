import type { KafkaError } from '../kafka/errors.ts';
import type { OutgoingMessage, Publisher } from '../kafka/port.ts';
import { BacklogFullError, KafkaUnavailableError, PacketNotAcknowledgedError, PacketTooLargeError } from './errors.ts';

export interface OutgoingPacket {
  topic: string;
  type: string;
  data: Buffer;
  headers: Readonly<Record<string, string>>;
  /** The packet is useless after so long in the queue. */
  ttlMs: number;
}

interface Waiting extends OutgoingPacket {
  queuedMs: number;
  resolve(): void;
  reject(error: Error): void;
}

/** A topic's packets: at most one produce request of it is on its way, what comes meanwhile goes as the next one. */
interface Lane {
  waiting: Waiting[];
  sending: boolean;
}

export interface SendQueueOptions {
  publisher(): Publisher;
  maxQueuedPackets: number;
  maxQueuedBytes: number;
  maxPacketBytes: number;
  /** Monotonic. */
  nowMs?: () => number;
  /** After each produce request: null where it was acknowledged. */
  onSent(error: KafkaError | null, packets: number, topic: string): void;
  onDropped(reason: 'expired' | 'away' | 'full', packets: number): void;
}

/** Larger packets go alone, so that one that the topic refuses takes no others with it. */
const aloneBytes = 256 * 1024;
const maxBatchBytes = 800 * 1024;
const maxBatchPackets = 5_000;

/** Packets that wait for Kafka, in a lane for each topic, bounded in count, bytes and age. */
export class SendQueue {
  readonly #options: SendQueueOptions;
  readonly #nowMs: () => number;
  readonly #lanes = new Map<string, Lane>();
  #packets = 0;
  #bytes = 0;
  #idle: (() => void)[] = [];

  constructor(options: SendQueueOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** Packets that were taken and have no outcome yet. */
  get packets(): number {
    return this.#packets;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Resolves when Kafka has stored the packet. */
  push(packet: OutgoingPacket): Promise<void> {
    const { maxQueuedPackets, maxQueuedBytes } = this.#options;
    const bytes = this.#bytes + packet.data.length;
    // An empty queue takes any packet: its size was checked against the limit of one packet.
    if (this.#packets >= maxQueuedPackets || (this.#packets > 0 && bytes > maxQueuedBytes)) {
      this.#options.onDropped('full', 1);
      return Promise.reject(
        new BacklogFullError({
          queuedPackets: this.#packets,
          queuedBytes: this.#bytes,
          maxQueuedPackets,
          maxQueuedBytes,
        }),
      );
    }
    return new Promise((resolve, reject) => {
      this.#packets++;
      this.#bytes = bytes;
      const lane = this.#lanes.get(packet.topic) ?? { waiting: [], sending: false };
      this.#lanes.set(packet.topic, lane);
      lane.waiting.push({ ...packet, queuedMs: this.#nowMs(), resolve, reject });
      if (lane.sending) return;
      lane.sending = true;
      // After the I/O callback that this packet came from, so that its brothers go with it.
      setImmediate(() => void this.#run(packet.topic, lane));
    });
  }

  /** Nothing waits any more, or the time is over. */
  async drained(timeoutMs: number): Promise<void> {
    if (this.#packets === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Fails what waits and is not on its way. */
  failWaiting(message: string): void {
    for (const lane of this.#lanes.values()) {
      const waiting = lane.waiting.splice(0);
      if (waiting.length > 0) this.#options.onDropped('away', waiting.length);
      for (const packet of waiting) this.#settle(packet, new KafkaUnavailableError(message));
    }
  }

  async #run(topic: string, lane: Lane): Promise<void> {
    while (lane.waiting.length > 0) {
      const batch = this.#nextBatch(lane);
      if (batch.length > 0) await this.#send(topic, batch);
    }
    lane.sending = false;
    if (this.#lanes.get(topic) === lane) this.#lanes.delete(topic);
  }

  #nextBatch(lane: Lane): Waiting[] {
    const now = this.#nowMs();
    const batch: Waiting[] = [];
    let bytes = 0;
    let taken = 0;
    for (const packet of lane.waiting) {
      if (now - packet.queuedMs > packet.ttlMs) {
        this.#options.onDropped('expired', 1);
        this.#settle(packet, new KafkaUnavailableError(`The packet waited longer than ${packet.ttlMs} ms for Kafka`));
        taken++;
        continue;
      }
      const { length } = packet.data;
      if (batch.length > 0 && (length > aloneBytes || bytes + length > maxBatchBytes)) break;
      batch.push(packet);
      bytes += length;
      taken++;
      if (length > aloneBytes || batch.length >= maxBatchPackets) break;
    }
    lane.waiting.splice(0, taken);
    return batch;
  }

  async #send(topic: string, batch: Waiting[]): Promise<void> {
    const messages: OutgoingMessage[] = batch.map(({ data, headers }) => ({
      topic,
      partition: 0,
      key: null,
      value: data,
      headers,
    }));
    let error: KafkaError | null;
    try {
      const { failed } = await this.#options.publisher().publish(messages);
      error = failed[0]?.error ?? null;
    } catch (thrown) {
      error = thrown as KafkaError;
    }
    this.#options.onSent(error, batch.length, topic);
    for (const packet of batch) this.#settle(packet, error ? this.#errorFor(packet, error) : null);
  }

  #errorFor({ topic, data }: Waiting, error: KafkaError): Error {
    switch (error.code) {
      case 'KAFKA_NOT_ACKNOWLEDGED':
        return new PacketNotAcknowledgedError(error.message, { topic });
      case 'KAFKA_MESSAGE_TOO_LARGE':
        return new PacketTooLargeError(`A packet for topic ${topic}`, data.length, this.#options.maxPacketBytes);
      default:
        return new KafkaUnavailableError(error.message, { topic, reason: error.code });
    }
  }

  #settle(packet: Waiting, error: Error | null): void {
    this.#packets--;
    this.#bytes -= packet.data.length;
    if (error) packet.reject(error);
    else packet.resolve();
    if (this.#packets === 0) for (const wake of this.#idle.splice(0)) wake();
  }
}

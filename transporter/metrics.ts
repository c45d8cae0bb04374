import type { ServiceBroker } from 'moleculer';
import type { TransporterHealth } from './health.ts';

type Registry = ServiceBroker['metrics'];

const gauges = {
  'kafka.transporter.joined': '1 while packets go out and come in',
  'kafka.transporter.deaf': '1 while nothing is heard, not even the node’s own heartbeat',
  'kafka.transporter.unread.partitions': 'Partitions that are not read, as their broker is away',
  'kafka.transporter.queued.packets': 'Packets that wait for Kafka',
  'kafka.transporter.queued.bytes': 'Bytes that wait for Kafka',
  'kafka.transporter.heard.age': 'Milliseconds since a packet was read',
  'kafka.transporter.sent.age': 'Milliseconds since a packet was stored',
};

const counters = {
  'kafka.transporter.batches.total': 'Produce requests',
  'kafka.transporter.reconnects.total': 'Times that the node joined again',
};

const dropped = 'kafka.transporter.dropped.total';

/** The transporter's metrics in the broker's registry; nothing where metrics are off. Names are in README.md. */
export class TransporterMetrics {
  readonly #registry: Registry | null;

  constructor(broker: ServiceBroker) {
    this.#registry = broker.isMetricsEnabled() ? broker.metrics : null;
    for (const [name, description] of Object.entries(gauges)) this.#register('gauge', name, description);
    for (const [name, description] of Object.entries(counters)) this.#register('counter', name, description);
    this.#registry?.register({
      type: 'counter',
      name: dropped,
      description: 'Packets that were dropped, by reason',
      labelNames: ['reason'],
    } as never);
  }

  batch(): void {
    this.#registry?.increment('kafka.transporter.batches.total');
  }

  reconnected(): void {
    this.#registry?.increment('kafka.transporter.reconnects.total');
  }

  dropped(reason: 'expired' | 'away' | 'full' | 'late' | 'twice', packets: number): void {
    this.#registry?.increment(dropped, { reason }, packets);
  }

  update(health: TransporterHealth, queuedBytes: number): void {
    this.#set('kafka.transporter.joined', health.connected ? 1 : 0);
    this.#set('kafka.transporter.deaf', health.deaf ? 1 : 0);
    this.#set('kafka.transporter.unread.partitions', health.unread);
    this.#set('kafka.transporter.queued.packets', health.queued);
    this.#set('kafka.transporter.queued.bytes', queuedBytes);
    if (health.lastHeardMs !== null) this.#set('kafka.transporter.heard.age', health.lastHeardMs);
    if (health.lastSentMs !== null) this.#set('kafka.transporter.sent.age', health.lastSentMs);
  }

  #set(name: keyof typeof gauges, value: number): void {
    this.#registry?.set(name, value);
  }

  #register(type: 'gauge' | 'counter', name: string, description: string): void {
    this.#registry?.register({ type, name, description } as never);
  }
}

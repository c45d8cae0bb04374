import { randomUUID } from 'node:crypto';
import moleculer, { type ServiceBroker } from 'moleculer';
import { KafkaError } from '../kafka/errors.ts';
import { createPlatformaticPort } from '../kafka/platformatic/platformatic-port.ts';
import type { IncomingMessage, KafkaConnection, ReadingKafkaPort } from '../kafka/port.ts';
import { KafkaUnavailableError, PacketTooLargeError } from './errors.ts';
import { isDeaf, type TransporterHealth } from './health.ts';
import { Janitor } from './janitor.ts';
import { KafkaLink } from './kafka-link.ts';
import { TransporterMetrics } from './metrics.ts';
import { type KafkaTransporterOptions, type Settings, settingsOf } from './options.ts';
import { PacketAges } from './packet-age.ts';
import { callersPackets, type Packet, ttlOf } from './packet-ttl.ts';
import { PacketNumbers, SeenPackets } from './seen-packets.ts';
import { SendQueue } from './send-queue.ts';
import { TopicNames } from './topic-names.ts';
import { topicConfig } from './topics.ts';

const { Base } = moleculer.Transporters;

/** What Moleculer's type definitions leave out. */
interface BaseInternals {
  afterConnect(wasReconnect: boolean): Promise<void>;
}
interface DiscovererInternals {
  opts: { heartbeatInterval: number };
  checkRemoteNodes(): void;
}

/**
 * Moleculer's transporter over Kafka: one inbox topic a node, one broadcast topic, no consumer groups. A node starts and serves
 * local calls without Kafka, joins when it can, and comes back from every outage by itself. See README.md.
 */
export class KafkaTransporter extends Base {
  readonly #settings: Settings;
  readonly #ages = new PacketAges();
  readonly #seen = new SeenPackets();
  readonly #numbers = new PacketNumbers(randomUUID().slice(0, 8));
  #names!: TopicNames;
  #metrics!: TransporterMetrics;
  #port!: ReadingKafkaPort;
  #queue!: SendQueue;
  #link: KafkaLink | null = null;
  #watchdog: NodeJS.Timeout | null = null;
  #janitor: Janitor | null = null;
  #phase: 'new' | 'starting' | 'running' | 'stopped' = 'new';
  #everJoined = false;
  #reconnects = 0;
  #lastHeard: number | null = null;
  #lastSent: number | null = null;
  #joinedSince: number | null = null;
  #deaf = false;

  /** Throws a `TypeError` for an option that is unknown or out of range. */
  constructor(options: KafkaTransporterOptions) {
    super({});
    this.#settings = settingsOf(options);
  }

  override init(...args: Parameters<InstanceType<typeof Base>['init']>): void {
    super.init(...args);
    if (!this.broker) return;
    const settings = this.#settings;
    this.#names = new TopicNames(this.prefix);
    // Says at the start what could never work.
    this.#names.inbox(this.nodeID);
    this.#metrics = new TransporterMetrics(this.broker);
    const connection: KafkaConnection = {
      logger: this.logger,
      ...settings.connection,
      clientId: settings.connection.clientId ?? this.nodeID.replace(/\s/g, '-'),
      requestTimeoutMs: settings.connection.requestTimeoutMs ?? 3_000,
      connectTimeoutMs: settings.connection.connectTimeoutMs ?? 3_000,
    };
    this.#port = (settings.createPort ?? createPlatformaticPort)(connection);
    this.#queue = new SendQueue({
      publisher: () => this.#link!.publisher(),
      maxQueuedPackets: settings.maxQueuedPackets,
      maxQueuedBytes: settings.maxQueuedBytes,
      maxPacketBytes: settings.maxPacketBytes,
      onSent: (error) => this.#sent(error),
      onDropped: (reason, packets) => this.#metrics.dropped(reason, packets),
    });
  }

  /** Returns at once; joining goes on in the background, for ever. */
  override async connect(): Promise<void> {
    const { partitions, replicationFactor, maxPacketBytes, fetchWaitMs, graceMs, janitor } = this.#settings;
    this.#phase = 'starting';
    this.#everJoined = false;
    this.#link = new KafkaLink({
      port: this.#port,
      nodeId: this.nodeID,
      inbox: this.#names.inbox(this.nodeID),
      all: this.#names.all,
      topicConfig: topicConfig(this.#settings),
      partitions,
      replicationFactor,
      maxFetchBytes: Math.max(4 * 1024 * 1024, maxPacketBytes + 64 * 1024),
      fetchWaitMs,
      graceMs,
      logger: this.logger,
      onPacket: (message) => this.#received(message),
      onHeard: () => {
        this.#lastHeard = performance.now();
        this.#deaf = false;
      },
      onJoined: () => this.#joined(),
      onAway: (error) => this.#away(error),
    });
    this.#link.start();
    this.#watchdog = setInterval(() => this.#watch(), 1_000);
    this.#watchdog.unref();
    if (janitor) this.#janitor = new Janitor({ ...janitor, port: this.#port, names: this.#names, broker: this.broker });
    await (this as unknown as BaseInternals).afterConnect(false);
    if (this.#phase !== 'starting') return;
    this.#phase = 'running';
    // Moleculer believes in a connection now; say so where there is none yet.
    if (!this.connected) this.#tellAway();
  }

  /** Sends what waits, for `disconnectTimeoutMs` at most, and closes. */
  override async disconnect(): Promise<void> {
    if (this.connected) await this.#queue.drained(this.#settings.disconnectTimeoutMs);
    this.#phase = 'stopped';
    this.connected = false;
    if (this.#watchdog) clearInterval(this.#watchdog);
    this.#janitor?.stop();
    await this.#link?.stop();
    this.#queue?.failWaiting('The transporter is stopped');
  }

  /** For health checks. Never throws, and asks nobody. */
  health(): TransporterHealth {
    const now = performance.now();
    const since = (at: number | null) => (at === null ? null : Math.round(now - at));
    let state: TransporterHealth['state'] = 'away';
    if (this.#phase === 'stopped') state = 'stopped';
    else if (this.connected) state = 'joined';
    else if (!this.#everJoined) state = 'starting';
    return {
      state,
      connected: this.connected,
      lastHeardMs: since(this.#lastHeard),
      lastSentMs: since(this.#lastSent),
      queued: this.#queue?.packets ?? 0,
      reconnects: this.#reconnects,
      deaf: this.#deaf,
      unread: this.#link?.unread ?? 0,
      lastError: this.#link?.lastError?.message ?? null,
    };
  }

  override async makeSubscriptions(): Promise<void> {}
  override async subscribe(): Promise<void> {}
  override async subscribeBalancedRequest(): Promise<void> {}
  override async subscribeBalancedEvent(): Promise<void> {}

  override getTopicName(_command: string, nodeId?: string | null): string {
    return nodeId ? this.#names.inbox(nodeId) : this.#names.all;
  }

  override async prepublish(packet: never): Promise<void> {
    if (this.connected) return this.publish(packet);
    const { type } = packet as Packet;
    if (!callersPackets.includes(type)) {
      this.#metrics.dropped('away', 1);
      return;
    }
    const reason = this.#link?.lastError?.message;
    throw new KafkaUnavailableError(`Kafka is away${reason ? `: ${reason}` : ''}`, { nodeID: this.nodeID });
  }

  override async send(topic: string, data: Buffer, meta: Record<string, unknown>): Promise<void> {
    const packet = meta.packet as Packet;
    const { maxPacketBytes } = this.#settings;
    if (data.length > maxPacketBytes) return this.#refuse(packet, data.length);
    const { type } = packet;
    const ttlMs = ttlOf(packet, this.#settings);
    const headers: Record<string, string> = { type, from: this.nodeID, at: String(Date.now()), ttl: String(ttlMs) };
    if (this.#link?.hasDetours) headers.number = this.#numbers.next(topic);
    return this.#queue.push({ topic, type, data, ttlMs, headers });
  }

  /** A response that cannot be sent must not leave its caller waiting: it is told instead. */
  async #refuse(packet: Packet, bytes: number): Promise<void> {
    const { type, payload, target } = packet;
    const what = payload.action ? `The request of '${payload.action}'` : `A packet of type ${type}`;
    const error = new PacketTooLargeError(
      type === 'RES' ? 'The response' : payload.event ? `The event '${payload.event}'` : what,
      bytes,
      this.#settings.maxPacketBytes,
    );
    if (type !== 'RES' || !target || payload.success === false) throw error;
    this.logger.warn(`${error.message}; '${target}' gets an error instead`);
    await this.transit.sendResponse(target, payload.id!, {}, {}, null as never, error as never);
  }

  #received({ topic, headers, value }: IncomingMessage): void {
    const type = headers.type?.toString();
    const from = headers.from?.toString();
    // Not a packet: somebody else writes to this topic.
    if (!type || !from || !value) return;
    const ageMs = this.#ages.ageMs(from, Number(headers.at), Date.now());
    if (ageMs > Number(headers.ttl) + this.#settings.clockToleranceMs) {
      this.#metrics.dropped('late', 1);
      this.logger.debug(`Dropped a ${type} packet of '${from}' that is ${ageMs} ms old`);
      return;
    }
    const number = headers.number?.toString();
    if (number !== undefined && !this.#seen.isNew(topic, from, number, performance.now())) {
      this.#metrics.dropped('twice', 1);
      return;
    }
    Promise.resolve(this.receive(type, value)).catch((error) => this.logger.error('A packet failed', type, error));
  }

  #sent(error: KafkaError | null): void {
    this.#metrics.batch();
    if (!error) this.#lastSent = performance.now();
    else if (error.code === 'KAFKA_UNAVAILABLE' || error.code === 'KAFKA_NOT_ACKNOWLEDGED') this.#link?.suspect(error);
  }

  #joined(): void {
    const again = this.#everJoined;
    this.#everJoined = true;
    this.connected = true;
    this.#deaf = false;
    this.#joinedSince = performance.now();
    if (again) {
      this.#reconnects++;
      this.#metrics.reconnected();
    }
    this.logger.info(again ? 'Joined again over Kafka.' : 'Joined over Kafka.');
    this.#forgiveSilence();
    if (this.#phase === 'starting') {
      void this.transit.discoverer.discoverAllNodes();
      return;
    }
    // INFO goes out only while Moleculer believes in the connection.
    this.transit.connected = true;
    void Promise.resolve(this.onConnected(true))
      .then(() => {
        if (!this.connected) this.#tellAway();
        else return this.transit.discoverer.sendHeartbeat();
      })
      .catch((error) => this.logger.error('Announcing this node failed', error));
  }

  /** Nobody could send heartbeats meanwhile: all nodes get a fresh time-out. */
  #forgiveSilence(): void {
    for (const node of this.broker.registry.nodes.toArray()) {
      if (!node.local && node.available) node.lastHeartbeatTime = Math.round(process.uptime());
    }
  }

  #away(error: KafkaError): void {
    this.connected = false;
    this.logger.warn(`Kafka is away, remote calls fail until it is back: ${error.message}`);
    this.#queue.failWaiting(`Kafka is away: ${error.message}`);
    this.#tellAway();
  }

  #tellAway(): void {
    if (this.#phase === 'stopped') return;
    this.transit.connected = false;
    this.broker.metrics?.set('moleculer.transit.connected', 0);
    this.broker.broadcastLocal('$transporter.disconnected', { graceFul: false });
  }

  #watch(): void {
    if (this.connected && this.#phase === 'running') this.#listen();
    this.#metrics.update(this.health(), this.#queue.bytes);
  }

  /** Who is silent: another node, or Kafka? */
  #listen(): void {
    const discoverer = this.transit.discoverer as unknown as DiscovererInternals;
    const heartbeatIntervalMs = discoverer.opts.heartbeatInterval * 1_000;
    if (heartbeatIntervalMs <= 0) return;
    const silentMs = performance.now() - Math.max(this.#lastHeard ?? 0, this.#joinedSince ?? 0);
    if (isDeaf(silentMs, heartbeatIntervalMs, 1)) {
      // Not even this node's own heartbeat came back: that says nothing about the others.
      this.#forgiveSilence();
    } else {
      // Moleculer looks once in a heartbeat time-out, so that a dead node could stay for twice that time.
      discoverer.checkRemoteNodes();
    }
    if (!isDeaf(silentMs, heartbeatIntervalMs, this.#settings.deafAfterHeartbeats)) return;
    if (!this.#deaf) this.logger.error(`Nothing was heard for ${Math.round(silentMs)} ms, not even this node itself`);
    this.#deaf = true;
    this.#link?.suspect(new KafkaError('KAFKA_UNAVAILABLE', 'nothing is heard', { retryable: true }));
  }
}

/** The transporter of a broker, where it is this one: for health checks. */
export function kafkaTransporterOf(broker: ServiceBroker): KafkaTransporter | null {
  const transporter = broker.transit?.tx as unknown;
  return transporter instanceof KafkaTransporter ? transporter : null;
}

/** What `transporter.health()` answers. */
export interface TransporterHealth {
  /**
   * `starting`: never joined yet. `joined`: packets go out and come in. `away`: Kafka does not answer; remote calls fail at
   * once and local ones work. `stopped`: after `broker.stop()`.
   */
  state: 'starting' | 'joined' | 'away' | 'stopped';
  connected: boolean;
  /** Since the last packet that was read from Kafka (the node's own heartbeats count); null before the first. */
  lastHeardMs: number | null;
  /** Since Kafka last stored a packet of this node; null before the first. */
  lastSentMs: number | null;
  /** Packets that wait for Kafka. */
  queued: number;
  /** How often the node joined again after it was away. */
  reconnects: number;
  /** Nothing was heard for several heartbeats, although Kafka seems to be there. */
  deaf: boolean;
  /** Partitions of its topics that it does not read, as their broker is away; others go around them. */
  unread: number;
  /** Why it is away. */
  lastError: string | null;
}

/** Whether a node that should hear at least its own heartbeat has been without any for too long. */
export function isDeaf(silentMs: number | null, heartbeatIntervalMs: number, deafAfterHeartbeats: number): boolean {
  if (silentMs === null || heartbeatIntervalMs <= 0) return false;
  // Moleculer spreads heartbeats by half a second.
  return silentMs > (heartbeatIntervalMs + 500) * deafAfterHeartbeats;
}

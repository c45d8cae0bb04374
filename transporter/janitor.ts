import type { ServiceBroker } from 'moleculer';
import type { ReadingKafkaPort } from '../kafka/port.ts';
import type { TopicNames } from './topic-names.ts';

export interface JanitorOptions {
  deleteAfterMs: number;
  port: ReadingKafkaPort;
  names: TopicNames;
  broker: ServiceBroker;
  nowMs?: () => number;
}

/**
 * Deletes inbox topics of nodes that are gone. Every node with the option watches, the one with the lowest node id
 * deletes. A topic counts as left from the first look at which its node was not known; a node that comes back later makes its
 * topic anew.
 */
export class Janitor {
  readonly #options: JanitorOptions;
  readonly #missingSince = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  #busy = false;

  constructor(options: JanitorOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.sweep(), Math.min(300_000, options.deleteAfterMs / 10));
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** One look. Answers the topics that were deleted. */
  async sweep(): Promise<string[]> {
    const { port, names, broker, deleteAfterMs, nowMs = () => performance.now() } = this.#options;
    const transporter = broker.transit?.tx;
    if (this.#busy || !transporter?.connected) {
      // While this node knows nobody, nobody is missing.
      if (!transporter?.connected) this.#missingSince.clear();
      return [];
    }
    this.#busy = true;
    const admin = port.admin();
    try {
      const alive = broker.registry.nodes.toArray().filter(({ available }) => available);
      const known = new Set(alive.map(({ id }) => id));
      const left = leftTopics(await admin.listTopics(), names, known, this.#missingSince, nowMs(), deleteAfterMs);
      const isFirst = alive.every(({ id }) => id >= broker.nodeID);
      if (left.length === 0 || !isFirst) return [];
      await admin.deleteTopics(left);
      broker.logger.info(`Deleted inbox topics of nodes that are gone: ${left.join(', ')}`);
      for (const topic of left) this.#missingSince.delete(topic);
      return left;
    } catch (error) {
      broker.logger.debug('The janitor could not look', error);
      return [];
    } finally {
      this.#busy = false;
      await admin.close();
    }
  }
}

/** Inbox topics whose node has been missing for so long; `missingSince` is brought up to date. */
export function leftTopics(
  topics: readonly string[],
  names: TopicNames,
  known: ReadonlySet<string>,
  missingSince: Map<string, number>,
  nowMs: number,
  deleteAfterMs: number,
): string[] {
  const missing = topics.filter((topic) => {
    const node = names.nodeOf(topic);
    return node !== null && !known.has(node);
  });
  for (const topic of missingSince.keys()) if (!missing.includes(topic)) missingSince.delete(topic);
  for (const topic of missing) if (!missingSince.has(topic)) missingSince.set(topic, nowMs);
  return missing.filter((topic) => nowMs - missingSince.get(topic)! >= deleteAfterMs);
}

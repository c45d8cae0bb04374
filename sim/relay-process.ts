import { partitionOf } from '../kafka/partitioner.ts';
import { createAtLeastOnce } from '../relay/delivery/at-least-once.ts';
import type { Delivery } from '../relay/delivery/delivery.ts';
import { createExactlyOnce } from '../relay/delivery/exactly-once.ts';
import { positionsTopic, transactionalIdOf } from '../relay/delivery/position.ts';
import { SourceRelay } from '../relay/source-relay.ts';
import { topic } from './broker.ts';
import { type Parts, silent, type Work } from './parts.ts';
import type { Process } from './world.ts';

/** A real relay, with one source. `life`: how often this process has begun. */
export function startRelay(parts: Parts, process: Process, life: number): Work {
  const { plan, source, faults, broker } = parts;
  const { leaseMs, buckets, partitions, maxAttempts, deadPolicy } = plan;
  // A change of the mode, one process after the other.
  const mode = plan.delivery === 'changing' ? (life % 2 === 0 ? 'exactly-once' : 'at-least-once') : plan.delivery;
  const store = source.storeFor(process);
  const deliveryOf = (bucket: number, incarnation: () => string): Delivery => {
    if (mode === 'at-least-once') {
      return createAtLeastOnce({ publisher: broker.publisher(process), source: 'like', incarnation });
    }
    const transactionalId = transactionalIdOf('sim', 'like', bucket);
    const publisher = broker.transactions.publisher(process, transactionalId, bucket);
    return createExactlyOnce({
      ...{ source: 'like', me: process.name, transactionalId, publisher, log: silent },
      place: { topic: positionsTopic('sim', 'like'), partition: bucket },
      lastCommitted: (place) => broker.transactions.lastCommitted(process, place),
      readLeases: () => store.readLeases(),
      fetch: (rows) => store.fetch(rows),
    });
  };
  const relay = new SourceRelay({
    ...{ name: 'like', me: process.name, topics: [topic], buckets, leaseMs, shortestPollMs: 50, longestPollMs: 1_000 },
    route: ({ aggregateId }) => ({ topic, partition: partitionOf(aggregateId, partitions) }),
    checkTopics: async () => {},
    loop: {
      ...{ batchSize: 12, batchBytes: 2 ** 20, headRows: 60, retry: { firstMs: 100, longestMs: 1_000 } },
      blocked: { maxAttempts, deadPolicy, retry: { firstMs: 150, longestMs: 2_000 } },
    },
    store,
    delivery: (bucket, incarnation) => source.recorded(process, bucket, deliveryOf(bucket, incarnation)),
    ...{ clock: process.clock, log: silent },
    metrics: {
      add: (name, { reason }, by) => faults.decided(`relay ${name}${reason ? ` ${reason}` : ''}`, by),
      set: () => {},
      observe: () => {},
    },
  });
  void relay.start(2_000).catch(() => undefined);
  return { stop: () => relay.stop(4_000), nudge: (bucket) => relay.nudge([bucket]) };
}

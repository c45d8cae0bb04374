import type { Logger } from '../../kafka/port.ts';
import type { CheckedOptions } from '../options.ts';
import type { SourceStore } from '../sources/store.ts';
import { createAtLeastOnce } from './at-least-once.ts';
import type { Delivery } from './delivery.ts';
import { createExactlyOnce } from './exactly-once.ts';
import { positionsTopic, transactionalIdOf } from './position.ts';

type DeliveriesOptions = Pick<CheckedOptions, 'delivery' | 'kafka' | 'topicPrefix' | 'deliveryTimeoutMs'> & {
  source: string;
  me: string;
  store: Pick<SourceStore, 'readLeases' | 'fetch'>;
  log: Logger;
};

/**
 * How each bucket of a source is delivered. A publisher for each bucket: one that waits for a broken partition holds up no
 * other bucket, and a transactional one is fenced with the bucket's lease.
 */
export function deliveriesOf(options: DeliveriesOptions): (bucket: number, incarnation: () => string) => Delivery {
  const { kafka, source, topicPrefix, deliveryTimeoutMs, me, store, log } = options;
  if (options.delivery === 'at-least-once') {
    return (_bucket, incarnation) =>
      createAtLeastOnce({ publisher: kafka.publisher({ deliveryTimeoutMs }), source, incarnation });
  }
  return (bucket) => {
    const transactionalId = transactionalIdOf(topicPrefix, source, bucket);
    return createExactlyOnce({
      source,
      me,
      transactionalId,
      publisher: kafka.transactionalPublisher!({ transactionalId, transactionTimeoutMs: deliveryTimeoutMs }),
      place: { topic: positionsTopic(topicPrefix, source), partition: bucket },
      lastCommitted: (place) => kafka.lastCommitted!(place),
      readLeases: () => store.readLeases(),
      fetch: (rows) => store.fetch(rows),
      log,
    });
  };
}

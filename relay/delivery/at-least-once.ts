import type { Publisher } from '../../kafka/port.ts';
import { settle, settleAsFailed } from '../batch/settle.ts';
import { asKafkaError, type Delivery } from './delivery.ts';
import { createMessages } from './message.ts';

/**
 * Publishes each batch with acks=all. After a crash, a lost answer or an overlap of two owners an event can be in the topic
 * twice; the inbox at the other end knows its id.
 */
export function createAtLeastOnce(options: { publisher: Publisher; source: string; incarnation(): string }): Delivery {
  const messageOf = createMessages(options.source);
  return {
    async begin() {
      return { alreadySent: [] };
    },
    async deliver(batch) {
      const messages = batch.map((routed) => messageOf(routed, options.incarnation()));
      try {
        return { ...settle(batch, await options.publisher.publish(messages)), beginAgain: false };
      } catch (cause) {
        return { ...settleAsFailed(batch, asKafkaError(cause)), beginAgain: false };
      }
    },
    close: () => options.publisher.close(),
  };
}

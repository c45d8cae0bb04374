import { headerNames } from '../../events/envelope.ts';
import { KafkaError } from '../../kafka/errors.ts';
import type { OutgoingMessage, Publisher } from '../../kafka/port.ts';
import type { RelayOptions } from '../options.ts';

/** A Kafka that refuses single messages for good, as a broker does whose topic takes less than the producer allows. */
export function refusing(
  kafka: RelayOptions['kafka'],
  isRefused: (message: { key: string; version: number; type: string }) => boolean,
): RelayOptions['kafka'] {
  const text = (value: string | Buffer | undefined) => String(value ?? '');
  const refused = ({ key, headers = {} }: OutgoingMessage) =>
    isRefused({
      key: text(key ?? undefined),
      version: Number(text(headers[headerNames.version])),
      type: text(headers[headerNames.type]),
    });
  const wrap = (publisher: Publisher): Publisher => ({
    async publish(messages) {
      const places = messages.map((message, place) => (refused(message) ? place : -1)).filter((place) => place >= 0);
      const partitions = new Set(places.map((place) => messages[place]!.partition));
      const report = await publisher.publish(messages.filter(({ partition }) => !partitions.has(partition)));
      const error = new KafkaError('KAFKA_MESSAGE_TOO_LARGE', 'made up by the test', { retryable: false });
      const failed = [...partitions].map((partition) => ({
        topic: messages[0]!.topic,
        partition,
        error,
        refused: places.filter((place) => messages[place]!.partition === partition),
      }));
      return { ...report, failed: [...report.failed, ...failed] };
    },
    close: () => publisher.close(),
  });
  return { publisher: (options) => wrap(kafka.publisher(options)), admin: () => kafka.admin() };
}

import { kafkaTlsOf } from '../config/kafka-tls.ts';
import type { Config } from '../config/load.ts';
import type { KafkaConnection, Logger } from './port.ts';

/** The connection that the configuration describes. */
export function kafkaConnectionOf(config: Config, brokers: readonly string[], logger?: Logger): KafkaConnection {
  return {
    brokers,
    clientId: config.nodeId ?? `hotboard-${process.pid}`,
    tls: kafkaTlsOf(config),
    sasl:
      config.kafkaSaslMechanism === 'none'
        ? undefined
        : {
            mechanism: config.kafkaSaslMechanism,
            username: config.kafkaSaslUsername,
            password: config.kafkaSaslPassword,
          },
    logger,
  };
}

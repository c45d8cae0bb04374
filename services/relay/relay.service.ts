import { databaseUrl } from '../../config/database-url.ts';
import { loadConfig, required } from '../../config/load.ts';
import { boardSources } from '../../events/board.ts';
import { kafkaConnectionOf } from '../../kafka/connection.ts';
import { createPlatformaticPort } from '../../kafka/platformatic/platformatic-port.ts';
import { RelayService } from '../../relay/relay-service.ts';

/** The board's relay: the outboxes of its four producers. */
export default RelayService({
  relay(service) {
    const config = loadConfig(process.env);
    return {
      sources: boardSources.map((name) => ({ name, url: databaseUrl(config, name) })),
      kafka: createPlatformaticPort(kafkaConnectionOf(config, required(config, 'kafkaBrokers'), service.logger)),
      topicPrefix: config.topicPrefix,
      buckets: config.buckets,
      leaseMs: config.relayLeaseMs,
      batchSize: config.relayBatchSize,
      delivery: config.relayDelivery,
      maxAttempts: config.relayMaxAttempts,
      deadPolicy: config.relayDeadPolicy,
      longestPollMs: config.relayIdlePollMs,
      retentionDays: config.outboxRetentionDays,
      auditRetentionDays: config.outboxAuditDays,
      shortestPollMs: Math.min(50, config.relayIdlePollMs),
      // a broker that is back is noticed within seconds: its return is what everybody waits for then
      retry: { firstMs: 250, longestMs: 2_000 },
      stopTimeoutMs: Math.floor(config.shutdownMs / 2),
    };
  },
});

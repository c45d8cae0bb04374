import { hostname } from 'node:os';
import type { BrokerOptions } from 'moleculer';
import { loadConfig, required } from './config/load.ts';
import { kafkaConnectionOf } from './kafka/connection.ts';
import { OpsMetricsReporter } from './telemetry/metrics-reporter.ts';
import { opsPort } from './telemetry/ops-port.ts';
import { KafkaTransporter } from './transporter/kafka-transporter.ts';
import { JsonSchemaValidator } from './validation/validator.ts';

/**
 * Settings of every Moleculer node: of `npm start`, of a container with `HOTBOARD_SERVICES=…`, and of a REPL that is attached
 * with `moleculer-runner --config moleculer.config.ts --repl`.
 */
const config = loadConfig(process.env);
const reporter = new OpsMetricsReporter();
const transporter = new KafkaTransporter({
  connection: kafkaConnectionOf(config, required(config, 'kafkaBrokers')),
});
const ops = {
  host: config.opsHost,
  port: config.opsPort,
  reporter,
  details: () => ({ transporter: transporter.health() }),
};

const brokerOptions: BrokerOptions = {
  namespace: config.namespace,
  nodeID: config.nodeId ?? `${hostname()}-${process.pid}`,
  logger: {
    type: 'Console',
    options: {
      level: logLevels(config.logLevel),
      colors: process.stdout.isTTY === true,
      moduleColors: false,
      formatter: 'short',
    },
  },
  transporter,
  validator: new JsonSchemaValidator(),
  requestTimeout: config.requestTimeoutMs,
  retryPolicy: { enabled: true, retries: 3, delay: 100, factor: 2, maxDelay: 1000, check: surelyDidNotRun },
  heartbeatInterval: 5,
  heartbeatTimeout: 15,
  // A stop waits for requests at work.
  tracking: { enabled: true, shutdownTimeout: Math.floor(config.shutdownMs / 2) },
  registry: { strategy: 'RoundRobin', preferLocal: true },
  // the typings only know the built-in names, the code takes instances
  metrics: { enabled: true, reporter: [reporter as never] },
  middlewares: [opsPort(ops)],
};

/** At `info`, what the framework says about its own start is left out: what a node does and meets is of interest. */
function logLevels(level: string): never {
  return (
    level === 'info' ? { BROKER: 'warn', METRICS: 'warn', REGISTRY: 'warn', $NODE: 'warn', '**': level } : level
  ) as never;
}

/**
 * Only calls that certainly did not run are tried again here. A request that timed out, or whose node went away, may have
 * written: only its caller, who knows whether it is idempotent, can repeat it.
 */
function surelyDidNotRun(error: unknown): boolean {
  const { type } = (error ?? {}) as { type?: string };
  return type === 'SERVICE_NOT_AVAILABLE' || type === 'KAFKA_UNAVAILABLE';
}

export default brokerOptions;

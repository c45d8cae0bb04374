import moleculer from 'moleculer';

const { MetricReporters } = moleculer;

/**
 * Moleculer's Prometheus reporter without a server of its own: the ops port serves its text beside the health pages. (The
 * stock one ends the process when its port is taken, and each process would need a second port.)
 */
export class OpsMetricsReporter extends MetricReporters.Prometheus {
  declare defaultLabels: Record<string, string>;

  override init(registry: Parameters<InstanceType<typeof MetricReporters.Base>['init']>[0]): void {
    MetricReporters.Base.prototype.init.call(this, registry);
    this.defaultLabels = { namespace: registry.broker.namespace, nodeID: registry.broker.nodeID };
  }

  override stop(): Promise<void> {
    return Promise.resolve();
  }

  /** All metrics in Prometheus' text format 0.0.4. */
  text(): string {
    return this.generatePrometheusResponse();
  }
}

import type { Service, ServiceBroker } from 'moleculer';

/** One reason why a node is ready or not. */
export interface ReadinessCheck {
  name: string;
  ready: boolean;
  /** For people: what is missing, or since when. Never a secret. */
  detail?: string;
}

/**
 * A service takes part in its node's readiness by a method `readiness()` that answers checks. No check of an edge may
 * depend on Kafka: an edge works without it.
 */
export interface ServiceWithReadiness {
  readiness(): Promise<ReadinessCheck[]> | ReadinessCheck[];
}

const checkTimeoutMs = 2000;

/** Asks all services of this node. A check that throws or takes longer than 2 s counts as not ready. */
export async function readinessOf(broker: ServiceBroker): Promise<{ ready: boolean; checks: ReadinessCheck[] }> {
  const answers = await Promise.all(broker.services.filter(takesPart).map(ask));
  const checks = [{ name: 'broker', ready: broker.started }, ...answers.flat()];
  return { ready: checks.every((check) => check.ready), checks };
}

function takesPart(service: Service): service is Service & ServiceWithReadiness {
  return typeof (service as Partial<ServiceWithReadiness>).readiness === 'function';
}

async function ask(service: Service & ServiceWithReadiness): Promise<ReadinessCheck[]> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${checkTimeoutMs} ms`)), checkTimeoutMs);
  });
  try {
    return await Promise.race([service.readiness(), timeout]);
  } catch (error) {
    return [{ name: service.name, ready: false, detail: error instanceof Error ? error.message : String(error) }];
  } finally {
    clearTimeout(timer);
  }
}

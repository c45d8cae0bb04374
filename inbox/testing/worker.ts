import { systemClock } from '../../clock/clock.ts';
import { noMetrics } from '../metrics.ts';
import type { WorkerOptions } from '../worker.ts';
import { writesEffects } from './database.ts';
import { testCatalogue } from './events.ts';

export const quiet = { debug() {}, info() {}, warn() {}, error() {} };

/** Options of a worker whose handler writes effects; `given` are others. */
export function workerOptions(given: Pick<WorkerOptions, 'store' | 'mode'> & Partial<WorkerOptions>): WorkerOptions {
  return {
    catalogue: testCatalogue,
    handlers: { '*': writesEffects },
    clock: systemClock,
    metrics: noMetrics,
    logger: quiet,
    random: Math.random,
    batchSize: 500,
    handlerAttempts: 2,
    handlerTimeoutMs: 10_000,
    parkedLimit: 100,
    baseline: 'first-version',
    ...given,
  };
}

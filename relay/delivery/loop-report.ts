import type { Clock } from '../../clock/clock.ts';
import type { Logger } from '../../kafka/port.ts';
import type { Routed } from '../batch/pack.ts';
import type { Failure } from '../batch/settle.ts';
import type { RelayMetrics } from '../metrics.ts';
import type { BucketLoopStatus } from './bucket-options.ts';

/** Of each batch so many events are timed. */
const sampledEvents = 16;

export interface LoopReportOptions {
  source: string;
  bucket: number;
  clock: Clock;
  log: Logger;
  metrics: RelayMetrics;
  databaseOffsetMs(): number;
}

/** What one bucket's loop says about its work: metrics, log lines, and the last error for its status. */
export class LoopReport {
  readonly #options: LoopReportOptions;
  readonly #labels: { source: string };
  #lastError: BucketLoopStatus['lastError'] = null;

  constructor(options: LoopReportOptions) {
    this.#options = options;
    this.#labels = { source: options.source };
  }

  get lastError(): BucketLoopStatus['lastError'] {
    return this.#lastError;
  }

  acknowledged(acknowledged: readonly Routed[]): void {
    const { metrics, clock, databaseOffsetMs } = this.#options;
    metrics.add('published', this.#labels, acknowledged.length);
    metrics.observe('batchSize', this.#labels, acknowledged.length);
    const nowMs = clock.wallMs() + databaseOffsetMs();
    const step = Math.max(1, Math.floor(acknowledged.length / sampledEvents));
    for (let index = 0; index < acknowledged.length; index += step) {
      metrics.observe('commitToAck', this.#labels, Math.max(0, nowMs - acknowledged[index]!.event.createdAt.getTime()));
    }
  }

  deleted(rows: number): void {
    this.#options.metrics.add('deleted', this.#labels, rows);
  }

  notPublished({ code, message }: { code: string; message: string }, events: number): void {
    const { metrics, clock } = this.#options;
    metrics.add('publishFailures', { ...this.#labels, reason: code }, events);
    this.#lastError = { message, code, atMs: clock.wallMs() };
  }

  /** A partition's events wait. */
  notAcknowledged({ ids, cause, error }: Failure, { pauseMs, attempts }: { pauseMs: number; attempts: number }): void {
    const { log, source, bucket } = this.#options;
    this.notPublished(error, ids.length);
    log[attempts === 1 ? 'warn' : 'debug'](
      `${source}.${bucket}: ${ids.length} events not acknowledged (${cause}, try ${attempts}): ${error.code} ${error.message}; next try in ${Math.round(pauseMs)} ms.`,
    );
  }

  /** A statement or a step failed, for the so manieth time in a row. */
  failed(error: unknown, doing: string, attempt: number): void {
    const { log, source, bucket, metrics, clock } = this.#options;
    const code = (error as { code?: string } | null)?.code ?? 'UNEXPECTED';
    const message = error instanceof Error ? error.message : String(error);
    metrics.add('errors', { ...this.#labels, reason: code }, 1);
    this.#lastError = { message, code, atMs: clock.wallMs() };
    // The first of a row of failures is news, the others are not.
    log[attempt === 1 ? 'warn' : 'debug'](`${source}.${bucket}: ${doing} (try ${attempt}): ${code} ${message}`);
  }
}

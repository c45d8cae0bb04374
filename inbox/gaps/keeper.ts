import type { Clock } from '../../clock/clock.ts';
import type { Catalogue } from '../../events/catalogue.ts';
import type { IncomingMessage, Logger, TopicPartition } from '../../kafka/port.ts';
import type { InboxMetrics } from '../metrics.ts';
import { streamKey } from '../plan.ts';
import { readMessages } from '../read.ts';
import type { Gap, InboxStore } from '../store/store.ts';
import type { BatchWorker } from '../worker.ts';
import type { AskProducer, GapAnswer } from './answer.ts';

export interface GapKeeperOptions {
  store: InboxStore;
  worker: BatchWorker;
  catalogue: Catalogue;
  /** Without it gaps are only told. */
  ask?: AskProducer | undefined;
  /** The partitions that this process works on: it looks after their gaps only. */
  assigned(): readonly TopicPartition[];
  clock: Clock;
  metrics: InboxMetrics;
  logger: Logger;
  /** A gap that is older is asked for. */
  gapLimitMs: number;
  /** Events that have waited for longer become dead letters. */
  parkedMs: number;
  pollMs: number;
}

/** Gaps that are looked after in one round. */
const roundLimit = 100;

/** Looks after streams of a sequence inbox whose events wait parked for one that is missing. */
export class GapKeeper {
  #options: GapKeeperOptions;
  #stopping = new AbortController();
  #cancel = () => {};
  #round: Promise<void> = Promise.resolve();
  /** What was told about already, so that each gap is one alarm. */
  #told = new Map<string, string>();

  constructor(options: GapKeeperOptions) {
    this.#options = options;
  }

  start(): void {
    this.#cancel = this.#options.clock.after(this.#options.pollMs, () => {
      this.#round = this.round().finally(() => {
        if (!this.#stopping.signal.aborted) this.start();
      });
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancel();
    await this.#round;
  }

  /** One look at all gaps. Never throws. */
  async round(): Promise<void> {
    const { store, logger, gapLimitMs } = this.#options;
    try {
      const mine = new Set(this.#options.assigned().map(({ topic, partition }) => `${topic} ${partition}`));
      const gaps = await store.gaps(gapLimitMs, roundLimit);
      for (const gap of gaps) {
        if (this.#stopping.signal.aborted) return;
        if (mine.has(`${gap.topic} ${gap.partition}`)) await this.#lookAfter(gap);
      }
      const open = new Set(gaps.map(streamKey));
      for (const key of this.#told.keys()) if (!open.has(key)) this.#told.delete(key);
    } catch (error) {
      if (!this.#stopping.signal.aborted) logger.warn('inbox: looking after gaps failed; again later.', error);
    }
  }

  async #lookAfter(gap: Gap): Promise<void> {
    const { worker, ask, logger, parkedMs } = this.#options;
    try {
      if (gap.version === gap.firstParked) await worker.release(gap, this.#stopping.signal);
      else if (gap.ageMs > parkedMs) await this.#giveUp(gap);
      else if (ask) await this.#answered(gap, await ask(gap));
      else this.#tell(gap, 'gap', 'nobody can be asked for it');
    } catch (error) {
      logger.warn(`inbox: ${nameOf(gap)} could not be filled; again later.`, error);
    }
  }

  async #giveUp(gap: Gap): Promise<void> {
    const why = `version ${gap.version} was missing for ${Math.round(gap.ageMs / 1000)} s`;
    this.#tell(gap, 'gap-given-up', `${why}; they are dead letters now`);
    await this.#options.worker.giveUp(gap, why, this.#stopping.signal);
  }

  async #answered(gap: Gap, answer: GapAnswer): Promise<void> {
    const { worker } = this.#options;
    switch (answer.answer) {
      case 'event':
        await this.#fill(gap, answer.message);
        break;
      case 'skipped':
        await worker.skip(gap, gap.version, 'the producer has skipped it', this.#stopping.signal);
        break;
      case 'pending':
        break;
      case 'dead':
        this.#tell(gap, 'gap-dead', 'its key is blocked for good at the producer');
        break;
      case 'gone':
        this.#tell(gap, 'gap-gone', 'the producer no longer has it; inboxResume goes on without it');
        break;
      default:
        answer satisfies never;
    }
  }

  async #fill(
    gap: Gap,
    given: { key: Buffer; value: Buffer; headers: Readonly<Record<string, Buffer>> },
  ): Promise<void> {
    const { topic, partition, firstParkedAtMs: timestampMs } = gap;
    // It comes from no place in Kafka.
    const message: IncomingMessage = { ...given, topic, partition, offset: -1n, timestampMs };
    const { arrivals, poison } = readMessages([message], this.#options.catalogue);
    const [arrival] = arrivals;
    if (!arrival) {
      this.#tell(gap, 'gap-poison', poison[0]!.detail);
      return;
    }
    const { event } = arrival;
    if (streamKey(event) !== streamKey(gap) || event.version !== gap.version || event.incarnation !== gap.incarnation) {
      this.#tell(
        gap,
        'gap-poison',
        `the producer answered version ${event.version} of ${event.source}/${event.aggregateId}`,
      );
      return;
    }
    await this.#options.worker.offer([arrival], this.#stopping.signal);
  }

  #tell(gap: Gap, alarm: string, why: string): void {
    const key = streamKey(gap);
    const what = `${gap.version} ${alarm}`;
    if (this.#told.get(key) === what) return;
    this.#told.set(key, what);
    this.#options.metrics.count('inbox.alarms.total', 1, { alarm });
    this.#options.logger.error(`inbox: ${nameOf(gap)} is missing, ${gap.parked} events wait for it: ${why}.`);
  }
}

function nameOf({ source, aggregateType, aggregateId, version, incarnation }: Gap): string {
  return `version ${version} of ${source}/${aggregateType}/${aggregateId} (${incarnation})`;
}

import type { KafkaConnection, PartitionReader, PartitionReaderOptions } from '../port.ts';
import { Fetcher } from './fetcher.ts';

export class PlatformaticReader implements PartitionReader {
  readonly #fetcher: Fetcher;
  readonly #options: PartitionReaderOptions;
  #started = false;

  constructor(connection: KafkaConnection, options: PartitionReaderOptions) {
    this.#options = options;
    const { logger } = connection;
    const maxBytes = options.maxBytes ?? 4 * 1024 * 1024;
    const startOf = new Map(options.partitions.map(({ topic, partition, from }) => [`${topic}:${partition}`, from]));
    this.#fetcher = new Fetcher(connection, {
      maxWaitMs: options.maxWaitMs ?? 500,
      maxBytes,
      maxBytesPerPartition: maxBytes,
      enough: options.enough,
      answerTimeoutMs: connection.requestTimeoutMs ?? 5_000,
      onBatch: ({ messages }) => this.#deliver(messages()),
      onOutOfRange: ({ topic, partition, offset, beginning, end, recreated }) => {
        const from = startOf.get(`${topic}:${partition}`);
        const wanted = options.outOfRange ?? (from === 'end' ? 'end' : 'beginning');
        // Everything in a topic that was made anew is new.
        const at = recreated ? 'beginning' : wanted;
        logger?.warn(
          `${topic}:${partition}: position ${offset} is gone (${beginning} to ${end}), reading from the ${at}`,
        );
        return at === 'end' ? end : beginning;
      },
      onStateChange: (state, error) => options.onStateChange?.(state, error),
    });
    this.#logger = logger;
  }

  readonly #logger: KafkaConnection['logger'];

  get lastFetchMs(): number | null {
    return this.#fetcher.lastFetchMs;
  }

  get unread(): number {
    return this.#fetcher.unread;
  }

  async start(): Promise<void> {
    if (this.#started) return;
    this.#started = true;
    this.#fetcher.add(this.#options.partitions);
  }

  async stop(): Promise<void> {
    await this.#fetcher.stop();
  }

  #deliver(messages: Parameters<PartitionReaderOptions['onMessages']>[0]): Promise<void> | undefined {
    if (messages.length === 0) return undefined;
    const complain = (error: unknown) => this.#logger?.error('a reader’s onMessages failed', error);
    try {
      const result = this.#options.onMessages(messages);
      return result ? result.catch(complain) : undefined;
    } catch (error) {
      complain(error);
      return undefined;
    }
  }
}

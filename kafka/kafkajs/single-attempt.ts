/**
 * Holds kafkajs to one attempt a `sendBatch`. Where one of several brokers fails, kafkajs begins its next attempt while
 * requests to the others are still on their way, and sends to those again with new sequence numbers: stored twice, also
 * in a transaction; and when the first of the two then fails, the numbers are set back below what is stored, so that a
 * later batch is swallowed as a duplicate. The partitioner, which kafkajs asks for each message in each attempt, counts.
 */
export class SingleAttempt {
  #left = Number.POSITIVE_INFINITY;
  #messages = Number.POSITIVE_INFINITY;
  #exceeded = false;

  /** A request for one partition may be tried again: nothing else is on its way, so its sequence numbers stay the same. */
  begin(messages: number, partitions: number): void {
    this.#messages = partitions > 1 ? messages : Number.POSITIVE_INFINITY;
    this.#left = this.#messages;
    this.#exceeded = false;
  }

  /** Called for each message of an attempt. Throws in a second one; a TypeError ends kafkajs's retries. */
  count(): void {
    if (this.#left === 0) {
      this.#exceeded = true;
      throw new TypeError('A request for several partitions is not tried again on the same producer');
    }
    this.#left--;
  }

  /** The attempt ended before anything could be sent. */
  forget(): void {
    this.#left = this.#messages;
  }

  get exceeded(): boolean {
    return this.#exceeded;
  }
}

/**
 * How old a packet is, told by a receiver whose clock need not agree with the sender's. For each sender the smallest
 * difference between receiving and sending time is kept: that is the clocks' difference plus the fastest way, so whatever a
 * packet takes longer than that is its age. Two windows, so that a clock that was set is forgotten; a packet turns at
 * most one, so that old packets after an outage are measured by what was seen before it.
 */
export class PacketAges {
  readonly #windowMs: number;
  readonly #senders = new Map<string, { current: number; previous: number; turnedMs: number }>();

  constructor(windowMs = 60_000) {
    this.#windowMs = windowMs;
  }

  /** `sentMs` by the sender's clock, `receivedMs` by the receiver's. A sender's first packet has age 0. */
  ageMs(sender: string, sentMs: number, receivedMs: number): number {
    const difference = receivedMs - sentMs;
    const seen = this.#senders.get(sender);
    if (!seen) {
      this.#senders.set(sender, { current: difference, previous: difference, turnedMs: receivedMs });
      return 0;
    }
    if (receivedMs - seen.turnedMs > this.#windowMs) {
      seen.previous = seen.current;
      seen.current = difference;
      seen.turnedMs = receivedMs;
    }
    seen.current = Math.min(seen.current, difference);
    return Math.max(0, difference - Math.min(seen.current, seen.previous));
  }

  forget(sender: string): void {
    this.#senders.delete(sender);
  }
}

/** How far behind the newest packet of a sender one may come and still be told from one that came before. */
const windowSize = 8_192;

/** Who was silent for so long sends nothing again that came before. */
const forgetMs = 300_000;

/** One sender's numbers on one topic: the highest, and which of those shortly before it came. As in IPsec (RFC 4303, 3.4.3). */
class Window {
  readonly #came = new Uint32Array(windowSize / 32);
  #highest = -1;
  lastMs = 0;

  take(number: number): boolean {
    if (this.#highest - number >= windowSize) return false;
    if (number - this.#highest >= windowSize) this.#came.fill(0);
    else for (let missing = this.#highest + 1; missing < number; missing++) this.#set(missing, false);
    if (number > this.#highest) this.#highest = number;
    else if (this.#has(number)) return false;
    this.#set(number, true);
    return true;
  }

  #has(number: number): boolean {
    const bit = number % windowSize;
    return (this.#came[bit >>> 5]! & (1 << (bit & 31))) !== 0;
  }

  #set(number: number, came: boolean): void {
    const bit = number % windowSize;
    if (came) this.#came[bit >>> 5]! |= 1 << (bit & 31);
    else this.#came[bit >>> 5]! &= ~(1 << (bit & 31));
  }
}

/**
 * Which packets came already. Where a broker dies a sender does not know what it stored and sends it again elsewhere, and
 * the first copy may show up when that broker is back. Each packet has a number, `<run>.<count>`, that counts the packets
 * of one run of its sender to one topic.
 */
export class SeenPackets {
  readonly #windows = new Map<string, Window>();
  #sweptMs = 0;

  /** False for a packet that came before, or is so far behind that it cannot be told. `nowMs`: of any steady clock. */
  isNew(topic: string, sender: string, number: string, nowMs: number): boolean {
    const dot = number.lastIndexOf('.');
    const count = Number(number.slice(dot + 1));
    if (dot < 1 || !Number.isSafeInteger(count) || count < 0) return true;
    const key = `${topic} ${sender} ${number.slice(0, dot)}`;
    let window = this.#windows.get(key);
    if (!window) {
      this.#sweep(nowMs);
      window = new Window();
      this.#windows.set(key, window);
    }
    window.lastMs = nowMs;
    return window.take(count);
  }

  /** Senders and topics that are remembered, one kilobyte each. */
  get size(): number {
    return this.#windows.size;
  }

  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptMs < forgetMs / 10) return;
    this.#sweptMs = nowMs;
    for (const [key, { lastMs }] of this.#windows) if (nowMs - lastMs > forgetMs) this.#windows.delete(key);
  }
}

/** Numbers for the packets of one run of this node, topic by topic. */
export class PacketNumbers {
  readonly #run: string;
  readonly #counts = new Map<string, number>();

  /** `run`: another one after each start. */
  constructor(run: string) {
    this.#run = run;
  }

  next(topic: string): string {
    const count = this.#counts.get(topic) ?? 0;
    this.#counts.set(topic, count + 1);
    return `${this.#run}.${count}`;
  }
}

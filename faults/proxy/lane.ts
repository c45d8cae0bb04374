import type { Socket } from 'node:net';
import { type Direction, decide, type ProxyMode } from './mode.ts';

/** Chunks are read ahead up to this, then the sender has to wait, as over a real network. */
const readAheadBytes = 1_048_576;

/** One direction of one connection: takes chunks in order and hands them on as the mode says. */
export class Lane {
  readonly #direction: Direction;
  readonly #from: Socket;
  readonly #mode: () => ProxyMode;
  readonly #inspect: ((chunk: Buffer, direction: Direction) => void) | undefined;
  readonly #rewrite: ((chunk: Buffer) => Buffer) | undefined;
  #to: Socket | null = null;
  #queue: { chunk: Buffer; dueMs: number }[] = [];
  #queuedBytes = 0;
  #busyUntilMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;
  /** Bytes vanished: the connection can never be whole again. */
  lossy = false;

  constructor(
    direction: Direction,
    from: Socket,
    mode: () => ProxyMode,
    inspect?: (chunk: Buffer, direction: Direction) => void,
    rewrite?: (chunk: Buffer) => Buffer,
  ) {
    this.#direction = direction;
    this.#from = from;
    this.#mode = mode;
    this.#inspect = inspect;
    this.#rewrite = rewrite;
    from.on('data', (chunk: Buffer) => this.#take(chunk));
    from.on('end', () => {
      this.#ended = true;
      this.flush();
    });
  }

  /** From now on bytes can be handed on. */
  connect(to: Socket): void {
    this.#to = to;
    to.on('drain', () => this.flush());
    this.flush();
  }

  /** Hands on what is due; called again when the mode changes. */
  flush(): void {
    clearTimeout(this.#timer);
    const to = this.#to;
    if (!to || to.destroyed) return;
    while (this.#queue.length > 0) {
      const { chunk, dueMs } = this.#queue[0]!;
      const nowMs = performance.now();
      const verdict = decide(this.#mode(), this.#direction, nowMs, 0);
      if (verdict.kind === 'wait') return;
      if (verdict.kind === 'forward' && dueMs > nowMs) {
        this.#timer = setTimeout(() => this.flush(), dueMs - nowMs);
        return;
      }
      this.#queue.shift();
      this.#queuedBytes -= chunk.length;
      if (verdict.kind === 'drop') this.lossy = true;
      else if (!to.write(chunk)) return;
    }
    if (this.#from.isPaused()) this.#from.resume();
    if (this.#ended) to.end();
  }

  /** Chunks that wait were given their time under another mode. */
  retime(): void {
    for (const entry of this.#queue) entry.dueMs = 0;
    this.flush();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
  }

  #take(taken: Buffer): void {
    this.#inspect?.(taken, this.#direction);
    const chunk = this.#rewrite?.(taken) ?? taken;
    if (chunk.length === 0) return;
    const mode = this.#mode();
    const nowMs = performance.now();
    const verdict = decide(mode, this.#direction, nowMs, this.#busyUntilMs);
    if (mode.mode === 'limit') {
      this.#busyUntilMs = Math.max(nowMs, this.#busyUntilMs) + (chunk.length * 1000) / mode.bytesPerSecond;
    }
    this.#queue.push({ chunk, dueMs: verdict.kind === 'forward' ? nowMs + verdict.delayMs : 0 });
    this.#queuedBytes += chunk.length;
    if (this.#queuedBytes > readAheadBytes) this.#from.pause();
    this.flush();
  }
}

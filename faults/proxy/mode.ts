/** `requests` flow from the client to the target, `answers` back. */
export type Direction = 'requests' | 'answers';

/** What the proxy does with every connection, open and new, from the moment it is set. */
export type ProxyMode =
  /** Everything goes through. */
  | { mode: 'pass' }
  /** Every byte arrives `ms` later; order and speed stay. */
  | { mode: 'delay'; ms: number }
  /** Bytes of one direction vanish, as if the other side never got them. Default: the answers. */
  | { mode: 'swallow'; direction?: Direction }
  /** Bytes of one direction wait, and arrive when the mode changes. Default: both directions. */
  | { mode: 'hold'; direction?: Direction }
  /** As a stopped process behind an open port: connections are accepted, nothing goes through in either direction. */
  | { mode: 'half-open' }
  /** Open connections are reset, new ones as soon as they are accepted. */
  | { mode: 'reset' }
  /** At most so many bytes a second in each direction of each connection. */
  | { mode: 'limit'; bytesPerSecond: number };

/** What becomes of one chunk. */
export type Verdict = { kind: 'forward'; delayMs: number } | { kind: 'drop' } | { kind: 'wait' };

/** Pure. `busyUntilMs`: when the direction has sent what it took before (`limit`). */
export function decide(mode: ProxyMode, direction: Direction, nowMs: number, busyUntilMs: number): Verdict {
  switch (mode.mode) {
    case 'pass':
      return { kind: 'forward', delayMs: 0 };
    case 'delay':
      return { kind: 'forward', delayMs: mode.ms };
    case 'limit':
      return { kind: 'forward', delayMs: Math.max(0, busyUntilMs - nowMs) };
    case 'swallow':
      return (mode.direction ?? 'answers') === direction ? { kind: 'drop' } : { kind: 'forward', delayMs: 0 };
    case 'hold':
      return !mode.direction || mode.direction === direction ? { kind: 'wait' } : { kind: 'forward', delayMs: 0 };
    case 'half-open':
    case 'reset':
      return { kind: 'wait' };
  }
}

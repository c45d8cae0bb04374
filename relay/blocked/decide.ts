import { isSkipped } from '../../events/skipped.ts';
import { type BackoffSettings, backoffMs } from '../batch/holds.ts';

/**
 * What becomes of a key whose event has failed as often as allowed. `block-key`: it waits for an operator, with all that came
 * after the event. `skip-key`: the event is given up (a `Skipped` one takes its place), the key goes on.
 */
export type DeadPolicy = 'block-key' | 'skip-key';

export interface BlockedSettings {
  /** Failures of one event after which its key is dead. */
  maxAttempts: number;
  deadPolicy: DeadPolicy;
  /** Pauses between attempts. */
  retry: BackoffSettings;
}

export type Verdict = { become: 'blocked'; pauseMs: number } | { become: 'dead' } | { become: 'skipped' };

/**
 * `attempts`: failures so far, this one included. An event that stands for a skipped one is never skipped itself: what refuses
 * it refuses everything.
 */
export function afterFailure(attempts: number, eventType: string | null, settings: BlockedSettings): Verdict {
  if (attempts < settings.maxAttempts) return { become: 'blocked', pauseMs: backoffMs(attempts, settings.retry) };
  if (settings.deadPolicy === 'skip-key' && !isSkipped(eventType ?? '')) return { become: 'skipped' };
  return { become: 'dead' };
}

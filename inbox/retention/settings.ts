const dayMs = 24 * 60 * 60 * 1000;

/** How long an inbox keeps what. Watermarks, offsets, and dead letters that wait are kept for ever. */
export interface InboxRetention {
  /** Ids of applied events. Longer than any topic keeps messages plus `replayMs`. Default 15 days. */
  idsMs: number;
  /**
   * How long after a topic has dropped them messages may come again: from a backup, a mirror, or a segment that lives on for as
   * long as its newest message. Default 7 days.
   */
  replayMs: number;
  /**
   * What to do where a topic keeps messages for ever (`retention.ms` -1, or compacted without deletion): `keep-ids` removes
   * none, `purge-ids` removes them after `idsMs` all the same and leaves it to the watermarks to tell old events. Without an answer
   * such a topic is refused.
   */
  endlessTopics?: 'keep-ids' | 'purge-ids' | undefined;
  /** Dead letters that were replayed or discarded. Default 30 days. */
  settledLettersMs: number;
  /** What was done to dead letters. Default 365 days. */
  auditMs: number;
  /** Events that wait parked for one that is missing (sequence inbox); then they are dead letters. Default 7 days. */
  parkedMs: number;
}

export const usualRetention: InboxRetention = {
  idsMs: 15 * dayMs,
  replayMs: 7 * dayMs,
  settledLettersMs: 30 * dayMs,
  auditMs: 365 * dayMs,
  parkedMs: 7 * dayMs,
};

/** Settings of an inbox that can't be meant, or don't go with a topic's own. Starting again does not help. */
export class InboxConfigError extends Error {
  override readonly name = 'InboxConfigError';
  readonly code = 'INBOX_CONFIG_INVALID';
  readonly retryable = false;
}

/** Throws `InboxConfigError` that names the setting, its value and what is allowed. */
export function checkRetention(retention: InboxRetention): void {
  const { endlessTopics, ...times } = retention;
  for (const [name, ms] of Object.entries(times)) {
    const lowest = name === 'replayMs' ? 0 : 1;
    if (Number.isSafeInteger(ms) && ms >= lowest) continue;
    throw new InboxConfigError(`retention.${name} is ${ms}; allowed: whole milliseconds from ${lowest}.`);
  }
  const answers = ['keep-ids', 'purge-ids', undefined];
  if (!answers.includes(endlessTopics)) {
    const given = JSON.stringify(endlessTopics);
    throw new InboxConfigError(`retention.endlessTopics is ${given}; allowed: keep-ids, purge-ids, or left out.`);
  }
}

/** What a topic's own settings mean for the ids of its events. */
export type TopicVerdict = 'purge' | 'keep' | { refused: string };

/** `settings`: as Kafka tells them. */
export function verdictOn(
  topic: string,
  settings: Readonly<Record<string, string>>,
  retention: Pick<InboxRetention, 'idsMs' | 'replayMs' | 'endlessTopics'>,
): TopicVerdict {
  const policies = (settings['cleanup.policy'] ?? 'delete').split(',').map((policy) => policy.trim());
  const keptMs = Number(settings['retention.ms']);
  const { idsMs, replayMs, endlessTopics } = retention;
  if (keptMs < 0 || !policies.includes('delete')) {
    if (endlessTopics === 'keep-ids') return 'keep';
    if (endlessTopics === 'purge-ids') return 'purge';
    return {
      refused:
        `The topic ${topic} keeps its messages for ever (retention.ms ${settings['retention.ms']}, cleanup.policy ` +
        `${settings['cleanup.policy']}), and the inbox would remove ids after ${inDays(idsMs)}. Say what is meant: ` +
        'retention.endlessTopics keep-ids (HOTBOARD_INBOX_ENDLESS_TOPICS) never removes them, purge-ids leaves it to the ' +
        'watermarks to tell old events.',
    };
  }
  if (!Number.isFinite(keptMs)) return { refused: `The topic ${topic} does not tell its retention.ms.` };
  if (idsMs > keptMs + replayMs) return 'purge';
  return {
    refused:
      `The inbox keeps ids for ${inDays(idsMs)} (retention.idsMs, HOTBOARD_INBOX_ID_DAYS); the topic ${topic} keeps messages ` +
      `for ${inDays(keptMs)} (retention.ms) and they may come again for ${inDays(replayMs)} more (retention.replayMs, ` +
      `HOTBOARD_INBOX_REPLAY_DAYS). Allowed: more than ${inDays(keptMs + replayMs)}.`,
  };
}

function inDays(ms: number): string {
  return `${Math.round((ms / dayMs) * 1000) / 1000} days`;
}

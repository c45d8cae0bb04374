import type { Logger } from '../kafka/port.ts';
import type { Applied } from './apply.ts';
import type { InboxMetrics } from './metrics.ts';
import type { AfterCommit } from './types.ts';

export interface Announcers {
  metrics: InboxMetrics;
  logger: Logger;
  afterCommit?: AfterCommit | undefined;
}

/** Tells of what was committed: metrics, log, and the user's `afterCommit`. Never throws. */
export async function announce(announcers: Announcers, applied: Applied): Promise<void> {
  report(announcers, applied);
  const { afterCommit, metrics, logger } = announcers;
  if (!afterCommit || applied.events.length === 0) return;
  try {
    await afterCommit(applied.events);
  } catch (error) {
    metrics.count('inbox.after_commit.failures.total', 1);
    logger.error('inbox: afterCommit failed; the commit stands.', error);
  }
}

function report({ metrics, logger }: Announcers, { counts, alarms, poison }: Applied): void {
  if (counts.applied > 0) metrics.count('inbox.events.applied.total', counts.applied);
  if (counts.duplicate > 0) metrics.count('inbox.events.duplicate.total', counts.duplicate);
  if (counts.stale > 0) metrics.count('inbox.events.stale.total', counts.stale);
  if (counts.gap > 0) metrics.count('inbox.events.early.total', counts.gap);
  for (const { message, reason, detail } of poison) {
    metrics.count('inbox.dead_letters.total', 1, { reason });
    logger.error(`inbox: dead letter at ${message.topic}/${message.partition}/${message.offset}, ${reason}: ${detail}`);
  }
  const told = new Set<string>();
  for (const { alarm, event, watermark } of alarms) {
    metrics.count('inbox.alarms.total', 1, { alarm });
    if (told.has(alarm)) continue;
    told.add(alarm);
    const { source, aggregateType, aggregateId, type, version, eventId, incarnation } = event;
    const howMany = alarms.filter((other) => other.alarm === alarm).length;
    logger.warn(
      `inbox: ${alarm} (${howMany} in this batch): ${type} ${eventId}, version ${version} of ${source}/${aggregateType}/` +
        `${aggregateId} in ${incarnation}; the watermark is ${watermark.version} in ${watermark.incarnation}.`,
    );
  }
}

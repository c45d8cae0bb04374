import { Type } from '@sinclair/typebox';
import { defineEvent, type PayloadOf } from './definition.ts';

/**
 * Stands in the place of an event that was dropped: it has that event's version, so that no reader waits for it for ever. In
 * every catalogue, from any source. Readers advance their watermark and do nothing else.
 */
export const SkippedV1 = defineEvent({
  type: 'Skipped',
  schemaVersion: 1,
  source: '*',
  aggregateType: '*',
  payload: Type.Object({
    /** Null where the dropped event was lost. */
    skippedEventId: Type.Union([Type.String(), Type.Null()]),
    skippedType: Type.Union([Type.String(), Type.Null()]),
    reason: Type.String(),
  }),
});

export type SkippedPayload = PayloadOf<typeof SkippedV1>;

export function isSkipped(type: string): boolean {
  return type === SkippedV1.type;
}

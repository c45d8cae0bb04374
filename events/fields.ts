import { Type } from '@sinclair/typebox';

/** A positive 64-bit id as a decimal string: JSON numbers lose digits above 2^53. */
export const Id = Type.String({
  pattern: '^[1-9][0-9]{0,18}$',
  description: 'a positive 64-bit id as a decimal string',
});
/** An absolute count: the state after the event, never a difference. */
export const Count = Type.Integer({ minimum: 0 });
export const Timestamp = Type.String({ format: 'date-time', description: 'UTC time, ISO 8601' });

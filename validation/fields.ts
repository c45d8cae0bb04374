import { type Static, type TObject, type TProperties, Type } from '@sinclair/typebox';
import type { ActionParams } from 'moleculer';

/** The greatest id: a signed 64-bit integer. */
export const maxId = 9_223_372_036_854_775_807n;

/**
 * A positive 64-bit id as a decimal string. JSON numbers are refused: they lose digits above 2^53.
 */
export const Id64 = Type.String({
  pattern: '^[1-9][0-9]{0,18}$',
  format: 'id64',
  description: `a positive 64-bit id as a string of digits, at most "${maxId}"`,
});

/** Text that people read: well-formed Unicode, at most `maxLength` characters, not only white space. */
export function ReadableText(maxLength: number) {
  return Type.String({
    minLength: 1,
    maxLength,
    format: 'readable-text',
    description: `text of 1 to ${maxLength} characters, well-formed Unicode, not only white space`,
  });
}

/** Parameters of an action as a JSON Schema. Fields that are not listed are refused (see `JsonSchemaValidator`). */
export function actionParams<Fields extends TProperties>(fields: Fields): TObject<Fields> & ActionParams {
  return Type.Object(fields) as TObject<Fields> & ActionParams;
}

export type ParamsOf<Schema extends TObject> = Static<Schema>;

/** The checks behind the `format` keywords above. */
export const formats: Readonly<Record<string, (text: string) => boolean>> = {
  id64: (text) => /^[1-9][0-9]{0,18}$/.test(text) && BigInt(text) <= maxId,
  'readable-text': (text) => text.isWellFormed() && /\S/.test(text),
};

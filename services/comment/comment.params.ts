import { Type } from '@sinclair/typebox';
import { maxCommentLength, maxPageSize } from '../../board/limits.ts';
import { actionParams, Id64, type ParamsOf, ReadableText } from '../../validation/fields.ts';

export const createParams = actionParams({
  articleId: Id64,
  content: ReadableText(maxCommentLength),
  parentId: Type.Optional(Type.Union([Id64, Type.Null()])),
});
export const idParams = actionParams({ id: Id64 });
export const articleParams = actionParams({ articleId: Id64 });
export const listParams = actionParams({
  articleId: Id64,
  lastCommentId: Type.Optional(Id64),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: maxPageSize })),
});

export type CreateParams = ParamsOf<typeof createParams>;
export type IdParams = ParamsOf<typeof idParams>;
export type ArticleParams = ParamsOf<typeof articleParams>;
export type ListParams = ParamsOf<typeof listParams>;

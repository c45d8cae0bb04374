import { Type } from '@sinclair/typebox';
import { maxContentLength, maxPage, maxPageSize, maxTitleLength } from '../../board/limits.ts';
import { actionParams, Id64, type ParamsOf, ReadableText } from '../../validation/fields.ts';

const title = ReadableText(maxTitleLength);
const content = ReadableText(maxContentLength);

export const createParams = actionParams({ boardId: Id64, title, content });
export const editParams = actionParams({ id: Id64, title, content });
export const idParams = actionParams({ id: Id64 });
export const boardParams = actionParams({ boardId: Id64 });
export const listParams = actionParams({
  boardId: Id64,
  page: Type.Optional(Type.Integer({ minimum: 1, maximum: maxPage })),
  pageSize: Type.Optional(Type.Integer({ minimum: 1, maximum: maxPageSize })),
  lastArticleId: Type.Optional(Id64),
});

export type CreateParams = ParamsOf<typeof createParams>;
export type EditParams = ParamsOf<typeof editParams>;
export type IdParams = ParamsOf<typeof idParams>;
export type BoardParams = ParamsOf<typeof boardParams>;
export type ListParams = ParamsOf<typeof listParams>;

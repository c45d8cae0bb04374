import { Type } from '@sinclair/typebox';
import { defineEvent } from './definition.ts';
import { Count, Id, Timestamp } from './fields.ts';

/** A user no longer likes an article. */
export const ArticleUnlikedV1 = defineEvent({
  type: 'ArticleUnliked',
  schemaVersion: 1,
  source: 'like',
  aggregateType: 'article',
  payload: Type.Object({
    articleId: Id,
    userId: Id,
    unlikedAt: Timestamp,
    articleLikeCount: Count,
  }),
});

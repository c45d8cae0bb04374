import { Type } from '@sinclair/typebox';
import { defineEvent } from './definition.ts';
import { Count, Id, Timestamp } from './fields.ts';

/** An article was deleted for good: nothing may show it any more. */
export const ArticleDeletedV1 = defineEvent({
  type: 'ArticleDeleted',
  schemaVersion: 1,
  source: 'article',
  aggregateType: 'article',
  payload: Type.Object({
    articleId: Id,
    boardId: Id,
    writerId: Id,
    createdAt: Timestamp,
    deletedAt: Timestamp,
    boardArticleCount: Count,
  }),
});

import { Type } from '@sinclair/typebox';
import { defineEvent } from './definition.ts';
import { Count, Id, Timestamp } from './fields.ts';

/** An article was edited; carries its whole state. */
export const ArticleUpdatedV1 = defineEvent({
  type: 'ArticleUpdated',
  schemaVersion: 1,
  source: 'article',
  aggregateType: 'article',
  payload: Type.Object({
    articleId: Id,
    boardId: Id,
    writerId: Id,
    title: Type.String(),
    content: Type.String(),
    createdAt: Timestamp,
    modifiedAt: Timestamp,
    boardArticleCount: Count,
  }),
});

import { Type } from '@sinclair/typebox';
import { defineEvent } from './definition.ts';
import { Count, Id, Timestamp } from './fields.ts';

/** A comment was written under an article. */
export const CommentCreatedV1 = defineEvent({
  type: 'CommentCreated',
  schemaVersion: 1,
  source: 'comment',
  aggregateType: 'article',
  payload: Type.Object({
    commentId: Id,
    articleId: Id,
    writerId: Id,
    content: Type.String(),
    createdAt: Timestamp,
    parentId: Type.Union([Id, Type.Null()]),
    articleCommentCount: Count,
  }),
});

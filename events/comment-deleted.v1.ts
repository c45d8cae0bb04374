import { Type } from '@sinclair/typebox';
import { defineEvent } from './definition.ts';
import { Count, Id, Timestamp } from './fields.ts';

/** A comment no longer counts under its article. */
export const CommentDeletedV1 = defineEvent({
  type: 'CommentDeleted',
  schemaVersion: 1,
  source: 'comment',
  aggregateType: 'article',
  payload: Type.Object({
    commentId: Id,
    articleId: Id,
    writerId: Id,
    deletedAt: Timestamp,
    articleCommentCount: Count,
  }),
});

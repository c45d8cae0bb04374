import { Type } from '@sinclair/typebox';
import { defineEvent } from './definition.ts';
import { Count, Id, Timestamp } from './fields.ts';

/** A user likes an article. */
export const ArticleLikedV1 = defineEvent({
  type: 'ArticleLiked',
  schemaVersion: 1,
  source: 'like',
  aggregateType: 'article',
  payload: Type.Object({
    articleId: Id,
    userId: Id,
    likedAt: Timestamp,
    articleLikeCount: Count,
  }),
});

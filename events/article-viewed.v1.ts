import { Type } from '@sinclair/typebox';
import { defineEvent } from './definition.ts';
import { Count, Id, Timestamp } from './fields.ts';

/** Views of an article were counted; several are gathered into one event. */
export const ArticleViewedV1 = defineEvent({
  type: 'ArticleViewed',
  schemaVersion: 1,
  source: 'view',
  aggregateType: 'article',
  payload: Type.Object({
    articleId: Id,
    viewedAt: Timestamp,
    articleViewCount: Count,
  }),
});

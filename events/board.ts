import { ArticleCreatedV1 } from './article-created.v1.ts';
import { ArticleDeletedV1 } from './article-deleted.v1.ts';
import { ArticleLikedV1 } from './article-liked.v1.ts';
import { ArticleUnlikedV1 } from './article-unliked.v1.ts';
import { ArticleUpdatedV1 } from './article-updated.v1.ts';
import { ArticleViewedV1 } from './article-viewed.v1.ts';
import { createCatalogue } from './catalogue.ts';
import { CommentCreatedV1 } from './comment-created.v1.ts';
import { CommentDeletedV1 } from './comment-deleted.v1.ts';

/** The board's own events. Each producer has a version line of its own for each article. */
export const boardEvents = createCatalogue([
  ArticleCreatedV1,
  ArticleUpdatedV1,
  ArticleDeletedV1,
  CommentCreatedV1,
  CommentDeletedV1,
  ArticleLikedV1,
  ArticleUnlikedV1,
  ArticleViewedV1,
]);

/** The four producers: the name of the outbox source, of the service and of the topic's last part. */
export const boardSources = ['article', 'comment', 'like', 'view'] as const;
export type BoardSource = (typeof boardSources)[number];

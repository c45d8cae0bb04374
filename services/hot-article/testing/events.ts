import { randomUUID } from 'node:crypto';
import type { BoardSource } from '../../../events/board.ts';
import type { EventEnvelope } from '../../../events/envelope.ts';
import type { HotRow } from '../hot-row.ts';

/** Events as the producers make them, for tests of the hot list. */

const incarnations: Record<BoardSource, string> = {
  article: '01930000-0000-7000-8000-00000000000a',
  comment: '01930000-0000-7000-8000-00000000000b',
  like: '01930000-0000-7000-8000-00000000000c',
  view: '01930000-0000-7000-8000-00000000000d',
};

export const writtenAt = '2026-11-21T03:00:00.000Z';

interface ArticleFields {
  boardId?: string;
  title?: string;
  createdAt?: string;
  incarnation?: string;
}

export function created(articleId: string, version: number, fields: ArticleFields = {}): EventEnvelope {
  return article('ArticleCreated', articleId, version, { title: `title ${articleId}`, ...fields });
}

export function edited(articleId: string, version: number, title: string, fields: ArticleFields = {}): EventEnvelope {
  return article('ArticleUpdated', articleId, version, { title, ...fields });
}

export function deleted(articleId: string, version: number, fields: ArticleFields = {}): EventEnvelope {
  return article('ArticleDeleted', articleId, version, fields);
}

export function liked(articleId: string, version: number, count: number): EventEnvelope {
  return envelope('like', 'ArticleLiked', articleId, version, {
    userId: '1',
    likedAt: writtenAt,
    articleLikeCount: count,
  });
}

export function unliked(articleId: string, version: number, count: number): EventEnvelope {
  const payload = { userId: '1', unlikedAt: writtenAt, articleLikeCount: count };
  return envelope('like', 'ArticleUnliked', articleId, version, payload);
}

export function commented(articleId: string, version: number, count: number): EventEnvelope {
  return envelope('comment', 'CommentCreated', articleId, version, {
    commentId: '9',
    writerId: '1',
    content: 'text',
    createdAt: writtenAt,
    parentId: null,
    articleCommentCount: count,
  });
}

export function viewed(articleId: string, version: number, count: number): EventEnvelope {
  return envelope('view', 'ArticleViewed', articleId, version, { viewedAt: writtenAt, articleViewCount: count });
}

/** The row of an article of which nothing is known yet. */
export function emptyRow(articleId: string): HotRow {
  const position = { line: 0n, version: 0n };
  return {
    articleId,
    boardId: null,
    title: null,
    day: null,
    createdAtMs: null,
    likes: 0,
    comments: 0,
    views: 0,
    positions: { article: position, comment: position, like: position, view: position },
    deleted: false,
    score: 0,
    rev: 0n,
  };
}

function article(type: string, articleId: string, version: number, fields: ArticleFields): EventEnvelope {
  const { boardId = '1', createdAt = writtenAt, incarnation, title } = fields;
  const payload = {
    boardId,
    writerId: '1',
    title,
    content: 'text',
    createdAt,
    modifiedAt: createdAt,
    ...(type === 'ArticleDeleted' ? { deletedAt: createdAt } : {}),
    boardArticleCount: 1,
  };
  return envelope('article', type, articleId, version, payload, incarnation);
}

function envelope(
  source: BoardSource,
  type: string,
  articleId: string,
  version: number,
  payload: object,
  incarnation = incarnations[source],
): EventEnvelope {
  return {
    eventId: randomUUID(),
    source,
    type,
    schemaVersion: 1,
    aggregateType: 'article',
    aggregateId: articleId,
    version: BigInt(version),
    incarnation,
    occurredAt: new Date(writtenAt),
    traceparent: null,
    payload: { articleId, ...payload },
  };
}

import type { BoardSource } from '../../events/board.ts';
import type { EventEnvelope } from '../../events/envelope.ts';
import { compareIds } from '../../ranking/order.ts';
import type { Position } from './hot-row.ts';

/** The article itself, as its newest event tells it. */
export interface ArticleState {
  deleted: boolean;
  boardId: string;
  /** Null in a delete, which does not carry it. */
  title: string | null;
  createdAtMs: number;
}

/** What a batch of events has to say about one article: of each source the newest state. */
export interface Patch {
  articleId: string;
  article?: { position: Position; state: ArticleState };
  comment?: { position: Position; count: number };
  like?: { position: Position; count: number };
  view?: { position: Position; count: number };
}

/** Longest title that a list shows, in characters; producers allow less. */
const maxTitleLength = 1000;

/** One patch for each article, sorted by id. Which of two events is newer is told by their positions, never by their place. */
export function gather(events: readonly EventEnvelope[]): Patch[] {
  const patches = new Map<string, Patch>();
  for (const event of events) {
    const patch = patches.get(event.aggregateId) ?? { articleId: event.aggregateId };
    patches.set(event.aggregateId, patch);
    add(patch, event);
  }
  return [...patches.values()].sort((a, b) => compareIds(a.articleId, b.articleId));
}

export function isNewer(a: Position, b: Position): boolean {
  return a.line === b.line ? a.version > b.version : a.line > b.line;
}

/**
 * The order of a producer's incarnations as a number: the time in a UUIDv7, ms since 1970, which is its first 48 bits.
 * Source: RFC 9562, section 5.7.
 */
export function lineOf(incarnation: string): bigint {
  return BigInt(`0x${incarnation.replaceAll('-', '').slice(0, 12)}`);
}

function add(patch: Patch, event: EventEnvelope): void {
  const position: Position = { line: lineOf(event.incarnation), version: event.version };
  const before = patch[event.source as BoardSource]?.position;
  if (before !== undefined && !isNewer(position, before)) return;
  const payload = event.payload as Record<string, unknown>;
  switch (event.type) {
    case 'ArticleCreated':
    case 'ArticleUpdated':
    case 'ArticleDeleted':
      patch.article = { position, state: articleState(event.type, payload) };
      break;
    case 'CommentCreated':
    case 'CommentDeleted':
      patch.comment = { position, count: payload.articleCommentCount as number };
      break;
    case 'ArticleLiked':
    case 'ArticleUnliked':
      patch.like = { position, count: payload.articleLikeCount as number };
      break;
    case 'ArticleViewed':
      patch.view = { position, count: payload.articleViewCount as number };
      break;
    default:
      throw new Error(`The hot list does not know the event type ${event.type}.`);
  }
}

function articleState(type: string, payload: Record<string, unknown>): ArticleState {
  return {
    deleted: type === 'ArticleDeleted',
    boardId: payload.boardId as string,
    title: type === 'ArticleDeleted' ? null : cut(payload.title as string),
    createdAtMs: Date.parse(payload.createdAt as string),
  };
}

function cut(title: string): string {
  return title.length <= maxTitleLength ? title : [...title].slice(0, maxTitleLength).join('');
}

/** What a client can do, and how its change is found again in what was committed. */
export type CallKind = 'like' | 'unlike' | 'comment' | 'write' | 'edit' | 'delete' | 'view' | 'read';

export interface Call {
  number: number;
  kind: CallKind;
  articleId: string | null;
  userId: string;
}

export type Outcome = 'ok' | 'fail' | 'info';

/** One call as its client saw it. */
export interface CallRecord extends Call {
  invokedMs: number;
  answeredMs: number;
  outcome: Outcome;
  /** Status of the answer, or the error's code. */
  answer: string;
  /** Version lines that the answer's token names. */
  token: readonly (readonly [source: string, aggregateId: string, version: number])[];
  gateway: string;
}

export interface Request {
  method: string;
  path: string;
  body?: object;
}

/** Texts carry the call's number: so a change in the database tells which call made it. */
export function requestOf({ kind, number, articleId }: Call): Request {
  const article = `/v1/articles/${articleId}`;
  switch (kind) {
    case 'like':
      return { method: 'PUT', path: `${article}/like` };
    case 'unlike':
      return { method: 'DELETE', path: `${article}/like` };
    case 'comment':
      return { method: 'POST', path: `${article}/comments`, body: { content: `comment ${number}` } };
    case 'write':
      return { method: 'POST', path: '/v1/articles', body: { boardId: '7', title: `article ${number}`, content: 'x' } };
    case 'edit':
      return { method: 'PUT', path: article, body: { title: `edit ${number}`, content: 'y' } };
    case 'delete':
      return { method: 'DELETE', path: article };
    case 'view':
      return { method: 'POST', path: `${article}/views` };
    case 'read':
      return { method: 'GET', path: '/v1/hot-articles' };
  }
}

/** The producer whose change a call makes; null for what commits nothing before it is answered. */
export function sourceOf(kind: CallKind): 'like' | 'comment' | 'article' | null {
  switch (kind) {
    case 'like':
    case 'unlike':
      return 'like';
    case 'comment':
      return 'comment';
    case 'write':
    case 'edit':
    case 'delete':
      return 'article';
    case 'view':
    case 'read':
      return null;
  }
}

/** Whether the call commits a change before it is answered. */
export function isChange({ kind }: Call): boolean {
  return sourceOf(kind) !== null;
}

/** By which a call and its event find each other: the same text from both. */
export function fingerprintOfCall({ kind, number, articleId, userId }: Call): string {
  switch (kind) {
    case 'like':
    case 'unlike':
      return `${kind} ${articleId} ${userId}`;
    case 'comment':
      return `comment ${number}`;
    case 'write':
      return `article ${number}`;
    case 'edit':
      return `edit ${number}`;
    case 'delete':
      return `delete ${articleId}`;
    case 'view':
    case 'read':
      return `${kind} ${number}`;
  }
}

export function fingerprintOfEvent(type: string, payload: Readonly<Record<string, unknown>>): string | null {
  switch (type) {
    case 'ArticleLiked':
      return `like ${payload.articleId} ${payload.userId}`;
    case 'ArticleUnliked':
      return `unlike ${payload.articleId} ${payload.userId}`;
    case 'CommentCreated':
      return String(payload.content);
    case 'ArticleCreated':
    case 'ArticleUpdated':
      return String(payload.title);
    case 'ArticleDeleted':
      return `delete ${payload.articleId}`;
    default:
      return null;
  }
}

/** Neither done nor refused by a rule of the board (as a like of an article that was just deleted). */
export function hasFailed({ outcome, answer }: Pick<CallRecord, 'outcome' | 'answer'>): boolean {
  return outcome === 'info' || (outcome === 'fail' && !/^4[0-9][0-9]/.test(answer));
}

const unknownOutcomes = new Set(['OUTCOME_UNKNOWN', 'REQUEST_TIMEOUT', 'INTERNAL']);

/** What an answer says about the change. Only what the API promises is believed (README, "When something is wrong"). */
export function outcomeOf(status: number, code: string | undefined): Outcome {
  if (status < 300) return 'ok';
  if (status < 500) return 'fail';
  return status === 503 && code !== undefined && !unknownOutcomes.has(code) ? 'fail' : 'info';
}

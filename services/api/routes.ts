/** One line of the gateway's contract: which action answers, who may call it, and how its parameters arrive. */
export interface RouteSpec {
  action: string;
  /** `none`: the token is not looked at; `optional`: it must be right where there is one; `required`: there must be one. */
  caller: 'none' | 'optional' | 'required';
  /** Status of a good answer. Default 200; 204 has no body. */
  status?: number;
  /** Parameters of the query string that are numbers. All others stay text. */
  numbers?: readonly string[];
  /** Parameters of the query string that are true or false. */
  flags?: readonly string[];
  /** Reads what `Hotboard-Token` names, and waits for it as `Prefer: wait=…` says: the parameters `after` and `waitMs`. */
  waits?: boolean;
  /** The answer is for everybody, and says itself of when it is: it may be given again for some milliseconds. */
  shared?: boolean;
  /** Whether an `Idempotency-Key` is passed on (`ctx.meta.idempotencyKey`). Elsewhere the header means nothing. */
  idempotencyKey?: boolean;
  /** The address of what was created, for the `Location` header. */
  location?(answer: { id: string }): string;
}

/**
 * The whole HTTP contract, by method and path under `/v1`. Fields of the body, of the query and of the path become the
 * action's parameters, whose schema says which there are.
 */
export const routes: Readonly<Record<string, RouteSpec>> = {
  'POST /articles': {
    action: 'article.create',
    caller: 'required',
    status: 201,
    idempotencyKey: true,
    location: ({ id }) => `/v1/articles/${id}`,
  },
  'GET /articles/:id': { action: 'article.get', caller: 'none' },
  'PUT /articles/:id': { action: 'article.edit', caller: 'required' },
  'DELETE /articles/:id': { action: 'article.delete', caller: 'required', status: 204 },
  'GET /boards/:boardId/articles': { action: 'article.list', caller: 'none', numbers: ['page', 'pageSize'] },
  'GET /boards/:boardId/articles/count': { action: 'article.count', caller: 'none' },

  'POST /articles/:articleId/comments': {
    action: 'comment.create',
    caller: 'required',
    status: 201,
    idempotencyKey: true,
  },
  'GET /articles/:articleId/comments': { action: 'comment.list', caller: 'none', numbers: ['limit'] },
  'GET /articles/:articleId/comments/count': { action: 'comment.count', caller: 'none' },
  'DELETE /comments/:id': { action: 'comment.delete', caller: 'required', status: 204 },

  'PUT /articles/:articleId/like': { action: 'like.like', caller: 'required' },
  'DELETE /articles/:articleId/like': { action: 'like.unlike', caller: 'required' },
  'GET /articles/:articleId/like': { action: 'like.status', caller: 'optional' },

  'POST /articles/:articleId/views': { action: 'view.record', caller: 'required', status: 202 },
  'GET /articles/:articleId/views': { action: 'view.count', caller: 'none' },

  'GET /hot-articles': {
    action: 'hot-list.top',
    caller: 'none',
    numbers: ['limit', 'waitMs'],
    flags: ['explain'],
    waits: true,
    shared: true,
  },
};

/** Only where the development login is on. */
export const developmentRoutes: Readonly<Record<string, RouteSpec>> = {
  'POST /dev/tokens': { action: 'api.issueToken', caller: 'none' },
};

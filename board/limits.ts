/**
 * Longest texts, in characters. An article that is as long as possible still fits into one request (1 MiB, with every character
 * escaped) and into one event (900 KiB).
 */
export const maxTitleLength = 200;
export const maxContentLength = 65_536;
export const maxCommentLength = 3000;

/** Items of one answer. */
export const maxPageSize = 100;
export const defaultPageSize = 10;
/** Later pages are reached by `lastArticleId`, which costs the same everywhere. */
export const maxPage = 10_000;

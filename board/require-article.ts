import type { Context } from 'moleculer';
import { articleNotFound } from './errors.ts';

/**
 * Asks the article service, which is on the same node wherever the gateway is. Throws `ARTICLE_NOT_FOUND` (404). An article that
 * is deleted right after the answer may still get a like or a comment: its tombstone in the hot list outlives both.
 */
export async function requireArticle(ctx: Context<unknown, object>, id: string): Promise<void> {
  const { exists } = await ctx.call<{ exists: boolean }, { id: string }>('article.exists', { id });
  if (!exists) throw articleNotFound(id);
}

/** An entry of a list before it has a rank. `articleId` is a 64-bit id as a decimal string. */
export interface Entry {
  articleId: string;
  score: number;
}

/** Best first; of equal scores the newer article, which has the greater id, comes first. */
export function byRank(a: Entry, b: Entry): number {
  return b.score - a.score || compareIds(b.articleId, a.articleId);
}

/** Compares two ids as numbers without making numbers of them: they may exceed 2^53. */
export function compareIds(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

/** Numbers a sorted list from 1; each place is given once, ties included. */
export function ranked<Item extends Entry>(sorted: readonly Item[]): (Item & { rank: number })[] {
  return sorted.map((item, index) => ({ ...item, rank: index + 1 }));
}

const memberLength = 20;

/**
 * The id as a member of a Redis sorted set. Redis orders equal scores by the member's bytes; with leading zeros that is
 * the order of the numbers, so that ZREVRANGE gives the newer article first.
 */
export function memberOf(articleId: string): string {
  return articleId.padStart(memberLength, '0');
}

export function articleIdOf(member: string): string {
  return member.replace(/^0+/, '');
}

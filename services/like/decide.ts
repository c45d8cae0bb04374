/** What one user wants of an article. */
export interface LikeWish {
  userId: string;
  liked: boolean;
}

/** A wish that changed something: one event. */
export interface LikeChange extends LikeWish {
  /** The number of the wish. */
  wish: number;
  /** Right after it. */
  count: number;
}

export interface LikeDecision {
  /** For each wish, in order: the count right after it. */
  counts: number[];
  /** In order. */
  changes: LikeChange[];
  /** Users to add to and to take from those who like the article. */
  added: string[];
  removed: string[];
  count: number;
}

/** What follows from wishes in their order, given who of these users liked the article before and how many users in all. */
export function decideLikes(
  count: number,
  likedBefore: ReadonlySet<string>,
  wishes: readonly LikeWish[],
): LikeDecision {
  const liked = new Set(likedBefore);
  const counts: number[] = [];
  const changes: LikeChange[] = [];
  let now = count;
  for (const [wish, { userId, liked: wanted }] of wishes.entries()) {
    if (liked.has(userId) !== wanted) {
      now += wanted ? 1 : -1;
      if (wanted) liked.add(userId);
      else liked.delete(userId);
      changes.push({ wish, userId, liked: wanted, count: now });
    }
    counts.push(now);
  }
  return {
    counts,
    changes,
    added: [...liked].filter((user) => !likedBefore.has(user)),
    removed: [...likedBefore].filter((user) => !liked.has(user)),
    count: now,
  };
}

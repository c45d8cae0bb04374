import type { Formula } from './formula.ts';
import { byRank } from './order.ts';
import type { Bucket } from './windows.ts';

/** An article as it lies in a bucket. */
export interface Candidate {
  articleId: string;
  /** What the formula stores of it; the bucket is sorted by it. */
  stored: number;
  createdAtMs: number;
}

/** The first articles that are wanted of a bucket. */
export interface Wanted {
  bucket: Bucket;
  take: number;
}

export interface BestOf<Item extends Candidate> {
  buckets: readonly Bucket[];
  limit: number;
  formula: Formula;
  nowMs: number;
  /** The first `take` of each bucket: most stored first, the newer id where equal. Null where they can't be read. */
  read(wanted: readonly Wanted[]): Promise<Item[][] | null>;
}

const deeper = 4;
const leastTake = 4;

/**
 * The best `limit` of all buckets, best first, without reading them whole: of what was not read of a bucket no article can be
 * better than the last one read would be if it were as young as the bucket allows. Only buckets whose rest might still get into
 * the list are read deeper. Exact for every formula whose score never rises with age and never falls with what is stored.
 */
export async function bestOf<Item extends Candidate>(
  options: BestOf<Item>,
): Promise<(Item & { score: number })[] | null> {
  const { buckets, limit, formula, nowMs, read } = options;
  const firstTake = Math.min(limit, Math.max(leastTake, Math.ceil((2 * limit) / buckets.length)));
  const known = new Map<Bucket, Item[]>();
  let open: Wanted[] = buckets.map((bucket) => ({ bucket, take: firstTake }));
  for (;;) {
    const answers = await read(open);
    if (answers === null) return null;
    for (const [index, { bucket }] of open.entries()) known.set(bucket, answers[index]!);
    const best = [...known]
      .flatMap(([bucket, items]) => items.filter((item) => item.createdAtMs >= bucket.fromMs))
      .map((item) => ({ ...item, score: formula.score(item.stored, item.createdAtMs, nowMs) }))
      .sort(byRank)
      .slice(0, limit);
    open = open
      .filter(
        ({ bucket, take }) => known.get(bucket)!.length === take && mightGetIn(bucket, known.get(bucket)!.at(-1)!),
      )
      .map(({ bucket, take }) => ({ bucket, take: take * deeper }));
    if (open.length === 0) return best;

    function mightGetIn(bucket: Bucket, { stored, articleId }: Item): boolean {
      const worst = best[limit - 1];
      return worst === undefined || byRank({ articleId, score: formula.score(stored, bucket.toMs, nowMs) }, worst) < 0;
    }
  }
}

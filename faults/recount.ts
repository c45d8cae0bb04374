import { databaseUrl } from '../config/database-url.ts';
import type { Config } from '../config/load.ts';
import { daysIn } from '../ranking/days.ts';
import { type RecountItem, recount } from '../services/hot-article/recount.ts';
import { openDatabase } from '../services/hot-article/sql.ts';

/** Today's hot list over all boards, counted from the producers' own tables. */
export async function recountHotList(config: Config, limit: number): Promise<RecountItem[]> {
  const open = (name: string) => openDatabase({ url: databaseUrl(config, name), connections: 1 });
  const databases = { article: open('article'), comment: open('comment'), like: open('like'), view: open('view') };
  try {
    return await recount(databases, {
      day: daysIn(config.timeZone).dayOf(new Date()),
      timeZone: config.timeZone,
      weights: { likes: config.scoreLikes, comments: config.scoreComments, views: config.scoreViews },
      limit,
    });
  } finally {
    await Promise.all(Object.values(databases).map((database) => database.close()));
  }
}

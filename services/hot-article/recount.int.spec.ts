import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { EventEnvelope } from '../../events/envelope.ts';
import { articleMigrations } from '../../migrations/article/index.ts';
import { commentMigrations } from '../../migrations/comment/index.ts';
import { likeMigrations } from '../../migrations/like/index.ts';
import { migrateDatabase } from '../../migrations/run.ts';
import { viewMigrations } from '../../migrations/view/index.ts';
import { freshDatabase } from '../../testing/servers.ts';
import type { Projector } from './projector.ts';
import { recount } from './recount.ts';
import { type Database, openDatabase } from './sql.ts';
import * as make from './testing/events.ts';
import { createHarness, feed, fromMysql, fromRedis, type Harness, timeZone, weights } from './testing/harness.ts';
import { seeded, shuffled } from './testing/random.ts';

let harness: Harness;
let producers: Record<'article' | 'comment' | 'like' | 'view', Database>;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  harness = await createHarness();
  const sets = { article: articleMigrations, comment: commentMigrations, like: likeMigrations, view: viewMigrations };
  const opened = await Promise.all(
    Object.entries(sets).map(async ([name, set]) => {
      const fresh = await freshDatabase(`recount_${name}`);
      await migrateDatabase({ url: fresh.url, sets: [set] });
      const database = openDatabase({ url: fresh.url, connections: 2 });
      closing.push(async () => {
        await database.close();
        await fresh.drop();
      });
      return [name, database];
    }),
  );
  producers = Object.fromEntries(opened);
});
afterAll(async () => {
  await Promise.all(closing.map((close) => close()));
  await harness.close();
});

describe('the recount', () => {
  it('is what the projection of the same changes comes to, for the day and for each board', async () => {
    const events = await randomTraffic(seeded(5));
    const projector = harness.projector();
    await projector.healer.heal();
    const order = shuffled(events, seeded(6));
    while (order.length > 0) await feed(harness, projector, order.splice(0, 40));

    for (const boardId of [null, '1', '2']) {
      const options = { day: harness.today, timeZone, weights, ...(boardId === null ? {} : { boardId }) };
      const counted = await recount(producers, options);
      expect(counted.length).toBeGreaterThan(3);
      const items = counted.map(({ rank: _, ...item }) => item);
      expect(await fromMysql(harness, { boardId })).toEqual(items);
      expect(await fromRedis(harness, projector, { boardId })).toEqual(items);
    }
    const best = await recount(producers, { day: harness.today, timeZone, weights, limit: 2 });
    expect(best.map(({ rank }) => rank)).toEqual([1, 2]);
  });

  it('is what is left after Redis was flushed, and the lists rebuilt, again and again under load', async () => {
    const events = shuffled(await randomTraffic(seeded(8), 9_007_199_254_800_000n), seeded(9));
    const other = harness.projector({ redis: await harness.openRedis() });
    const projectors = [harness.projector(), other] as const;
    const half = Math.ceil(events.length / 2);
    let writing = true;
    const write = async (projector: Projector, own: EventEnvelope[]) => {
      while (own.length > 0) await feed(harness, projector, own.splice(0, 3));
    };
    let flushes = 0;
    const disturb = async () => {
      while (writing || flushes < 4) {
        await harness.flush();
        flushes++;
        await other.healer.heal().catch(() => {}); // flushed in the middle of it: the next round goes on
      }
    };
    const disturbing = disturb();
    await Promise.all([write(projectors[0], events.slice(0, half)), write(projectors[1], events.slice(half))]);
    writing = false;
    await disturbing;
    await other.healer.heal();
    const counted = await recount(producers, { day: harness.today, timeZone, weights });
    expect(counted.length).toBeGreaterThan(20);
    expect(await fromRedis(harness, other)).toEqual(counted.map(({ rank: _, ...item }) => item));
  });
});

/** Changes to the producers' tables, and the events that the producers would publish of them. */
async function randomTraffic(random: () => number, firstId = 9_007_199_254_740_993n): Promise<EventEnvelope[]> {
  const at = harness.at();
  const sqlAt = at.slice(0, 23).replace('T', ' ');
  const events: EventEnvelope[] = [];
  const upTo = (limit: number) => Math.floor(random() * limit);
  for (let index = 0; index < 30; index++) {
    const articleId = String(firstId + BigInt(index));
    const boardId = String(1 + upTo(2));
    const early = index % 10 === 9; // of the day before, by the zone
    const createdAt = early ? harness.at(1) : at;
    const sqlCreatedAt = createdAt.slice(0, 23).replace('T', ' ');
    events.push(make.created(articleId, 1, { boardId, createdAt }));

    const likes = upTo(5);
    for (let user = 1; user <= likes; user++) {
      await producers.like.write('INSERT INTO article_like VALUES (?, ?, ?)', [articleId, user, sqlAt]);
      events.push(make.liked(articleId, user, user));
    }
    if (likes > 2) {
      await producers.like.write('DELETE FROM article_like WHERE article_id = ? AND user_id = 1', [articleId]);
      events.push(make.unliked(articleId, likes + 1, likes - 1));
    }
    const comments = upTo(4);
    for (let number = 1; number <= comments; number++) {
      await producers.comment.write(
        'INSERT INTO comment (article_id, writer_id, content, created_at) VALUES (?, 1, ?, ?)',
        [articleId, 'text', sqlAt],
      );
      events.push(make.commented(articleId, number, number));
    }
    const views = upTo(20);
    if (views > 0) {
      await producers.view.write('INSERT INTO article_view_count VALUES (?, ?)', [articleId, views]);
      events.push(make.viewed(articleId, 1, Math.ceil(views / 2)), make.viewed(articleId, 2, views));
    }
    if (index % 6 === 5) {
      events.push(make.deleted(articleId, 2, { boardId, createdAt }));
    } else {
      await producers.article.write(
        `INSERT INTO article (id, board_id, writer_id, title, content, created_at, modified_at)
         VALUES (?, ?, 1, ?, 'text', ?, ?)`,
        [articleId, boardId, `title ${articleId}`, sqlCreatedAt, sqlCreatedAt],
      );
    }
  }
  return events;
}

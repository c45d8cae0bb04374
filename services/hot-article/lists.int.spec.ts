import { describe, expect, it } from '@jest/globals';
import type { EventEnvelope } from '../../events/envelope.ts';
import { addDays } from '../../ranking/days.ts';
import { linear } from '../../ranking/formula.ts';
import * as make from './testing/events.ts';
import { feed, fromMysql, fromRedis, rowsOf } from './testing/harness.ts';
import { useHotList } from './testing/hot-list.ts';
import { seeded, shuffled } from './testing/random.ts';

const hot = useHotList();
const { liked, unliked, commented, viewed } = make;

describe('the lists', () => {
  it('show what each article scores and why', async () => {
    const articleId = hot.newId();
    const events = [
      hot.created(articleId, { title: 'Ünï “çödé” 🎉' }),
      liked(articleId, 1, 4),
      commented(articleId, 1, 3),
      viewed(articleId, 1, 2),
    ];
    await feed(hot.harness, hot.projector, events);
    expect(await fromRedis(hot.harness, hot.projector)).toEqual([
      { articleId, title: 'Ünï “çödé” 🎉', score: 20, likes: 4, comments: 3, views: 2 },
    ]);
    await hot.expectList([articleId]);
  });

  it('are the same whatever the order of events and batches is, each of them twice', async () => {
    const ids = [hot.newId(), hot.newId(), hot.newId()];
    const [first, second, third] = ids as [string, string, string];
    const events: EventEnvelope[] = [
      ...ids.map((articleId) => hot.created(articleId)),
      make.edited(first, 2, 'edited', { createdAt: hot.harness.at() }),
      ...[1, 2, 3, 4, 5].map((version) => liked(first, version, version)),
      unliked(first, 6, 4),
      commented(first, 1, 1),
      ...[1, 2].map((version) => viewed(second, version, version * 10)),
      hot.deleted(third, 3),
      liked(third, 1, 100),
    ];
    const expected = [
      { articleId: second, title: `title ${second}`, score: 20, likes: 0, comments: 0, views: 20 },
      { articleId: first, title: 'edited', score: 14, likes: 4, comments: 1, views: 0 },
    ];
    const random = seeded(7);
    for (let round = 0; round < 12; round++) {
      await hot.harness.flush();
      await hot.harness.database.write('DELETE FROM hot_article');
      await hot.projector.healer.heal();
      const order = shuffled([...events, ...events], random);
      while (order.length > 0) await feed(hot.harness, hot.projector, order.splice(0, 1 + Math.floor(random() * 6)));
      expect(await fromMysql(hot.harness)).toEqual(expected);
      expect(await fromRedis(hot.harness, hot.projector)).toEqual(expected);
    }
  });

  it('count a like that comes before the create of its article, and do not show the article before', async () => {
    const articleId = hot.newId();
    await feed(hot.harness, hot.projector, [liked(articleId, 1, 2)]);
    await hot.expectList([]);
    await feed(hot.harness, hot.projector, [hot.created(articleId)]);
    expect(await fromRedis(hot.harness, hot.projector)).toMatchObject([{ articleId, likes: 2, score: 6 }]);
  });

  it('never show a deleted article again, whatever comes late', async () => {
    const [articleId] = await hot.articlesWith([5]);
    await feed(hot.harness, hot.projector, [hot.deleted(articleId!, 4)]);
    await hot.expectList([]);
    const late = [
      liked(articleId!, 1, 9),
      make.edited(articleId!, 3, 'late', { createdAt: hot.harness.at() }),
      hot.created(articleId!),
    ];
    for (const event of late) await feed(hot.harness, hot.projector, [event]);
    await hot.expectList([]);
    await hot.projector.rebuild({});
    await hot.expectList([]);
  });

  it('let number 11 in when number 1 is deleted', async () => {
    const ids = await hot.articlesWith([120, 110, 100, 90, 80, 70, 60, 50, 40, 30, 20, 10]);
    await hot.expectList(ids.slice(0, 10), { limit: 10 });
    await feed(hot.harness, hot.projector, [hot.deleted(ids[0]!)]);
    await hot.expectList(ids.slice(1, 11), { limit: 10 });
  });

  it('sort anew after an unlike', async () => {
    const [first, second] = [hot.newId(), hot.newId()];
    await feed(hot.harness, hot.projector, [
      hot.created(first),
      hot.created(second),
      liked(first, 1, 1),
      liked(second, 1, 1),
      liked(first, 2, 2),
    ]);
    await hot.expectList([first, second]);
    await feed(hot.harness, hot.projector, [unliked(first, 3, 0)]);
    await hot.expectList([second, first]);
  });

  it('put the newer article first where scores are equal, ids of different lengths included', async () => {
    const ids = ['8', '95', '94', '9007199254740993000', '9007199254740992999'];
    await feed(
      hot.harness,
      hot.projector,
      ids.flatMap((articleId) => [hot.created(articleId), viewed(articleId, 1, 3)]),
    );
    await hot.expectList(['9007199254740993000', '9007199254740992999', '95', '94', '8']);
  });

  it('are one for each board and one for all', async () => {
    const [inFirst, inSecond] = [hot.newId(), hot.newId()];
    await feed(hot.harness, hot.projector, [
      hot.created(inFirst, { boardId: '11' }),
      hot.created(inSecond, { boardId: '22' }),
    ]);
    await hot.expectList([inSecond, inFirst]);
    await hot.expectList([inFirst], { boardId: '11' });
    await hot.expectList([inSecond], { boardId: '22' });
    await hot.expectList([], { boardId: '33' });
    await feed(hot.harness, hot.projector, [
      make.edited(inFirst, 2, 'moved', { boardId: '22', createdAt: hot.harness.at() }),
    ]);
    await hot.expectList([], { boardId: '11' });
    await hot.expectList([inSecond, inFirst].sort().reverse(), { boardId: '22' });
  });

  it('are one for each day, by the time of the article', async () => {
    const [today, yesterday, tooOld] = [hot.newId(), hot.newId(), hot.newId()];
    const events = [
      hot.created(today),
      hot.created(yesterday, { createdAt: hot.harness.at(1) }),
      hot.created(tooOld, { createdAt: hot.harness.at(10) }),
    ];
    await feed(hot.harness, hot.projector, [...events, liked(yesterday, 1, 3), liked(tooOld, 1, 3)]);
    await hot.expectList([today]);
    await hot.expectList([yesterday], { day: addDays(hot.harness.today, -1) });
    expect(await fromRedis(hot.harness, hot.projector, { day: addDays(hot.harness.today, -10) })).toBeNull();
    await hot.projector.refresher.settled();
    expect(await hot.dirty()).toEqual([]); // nothing of a day that is not kept waits for Redis
  });

  it('lose no count where many transactions touch the same articles at once', async () => {
    const ids = Array.from({ length: 20 }, hot.newId);
    const batches = ids.flatMap((articleId, index) => [
      [hot.created(articleId)],
      [liked(articleId, 1, index)],
      [commented(articleId, 1, index)],
      [viewed(articleId, 1, index)],
    ]);
    const random = seeded(3);
    const workers = Array.from({ length: 6 }, () => [] as EventEnvelope[][]);
    for (const batch of shuffled(batches, random)) workers[Math.floor(random() * workers.length)]!.push(batch);
    await Promise.all(
      workers.map(async (work) => {
        for (let at = 0; at < work.length; at += 5)
          await feed(hot.harness, hot.projector, work.slice(at, at + 5).flat());
      }),
    );
    await hot.expectList([...ids].reverse());
    const revs = await rowsOf<{ rev: string }>(hot.harness, 'SELECT rev FROM hot_article');
    expect(revs.every(({ rev }) => BigInt(rev) >= 1n && BigInt(rev) <= 4n)).toBe(true);
    await hot.projector.refresher.settled();
    expect(await hot.dirty()).toEqual([]);
  });
});

describe('settings that changed', () => {
  it('are applied to all rows and lists at the next start', async () => {
    const [first, second] = [hot.newId(), hot.newId()];
    await feed(hot.harness, hot.projector, [
      hot.created(first),
      hot.created(second),
      liked(first, 1, 2),
      viewed(second, 1, 5),
    ]);
    await hot.expectList([first, second]);
    const restarted = hot.harness.projector({ formula: linear({ likes: 1, comments: 1, views: 10 }) });
    await restarted.healer.heal();
    await hot.expectList([second, first]);
    expect(await fromRedis(hot.harness, hot.projector)).toMatchObject([{ score: 50 }, { score: 2 }]);
  });

  it('to another time zone take each article to its new day, and off the old one', async () => {
    const articleId = hot.newId();
    const late = `${addDays(hot.harness.today, -1)}T22:00:00.000Z`; // the next morning in Seoul, still yesterday in UTC
    await feed(hot.harness, hot.projector, [hot.created(articleId, { createdAt: late })]);
    await hot.expectList([articleId]);
    await hot.harness.projector({ timeZone: 'UTC' }).healer.heal();
    await hot.expectList([]);
    await hot.expectList([articleId], { day: addDays(hot.harness.today, -1) });
  });
});

describe('what is too old', () => {
  it('leaves Redis and, some days later, MySQL', async () => {
    const [old, today] = [hot.newId(), hot.newId()];
    await feed(hot.harness, hot.projector, [hot.created(old, { createdAt: hot.harness.at(9) }), hot.created(today)]);
    const oldDay = addDays(hot.harness.today, -9);
    await hot.expectList([old], { day: oldDay });

    const laterBy = (days: number) =>
      hot.harness.projector({ nowMs: () => Date.parse(hot.harness.at()) + days * 86_400_000 });
    await laterBy(1).healer.heal();
    expect(await fromRedis(hot.harness, hot.projector, { day: oldDay })).toBeNull();
    expect(await hot.harness.redis.keys(`${hot.harness.namespace}:*:${oldDay}:*`)).toEqual([]);
    expect(await rowsOf(hot.harness, 'SELECT 1 FROM hot_article')).toHaveLength(2);

    await laterBy(13).healer.heal();
    expect(await rowsOf(hot.harness, 'SELECT 1 FROM hot_article')).toHaveLength(0);
    expect(await hot.dirty()).toEqual([]);
  });

  it('has an end in Redis also where nobody takes it away', async () => {
    await hot.articlesWith([3]);
    const keys = await hot.harness.redis.keys(`${hot.harness.namespace}:*:${hot.harness.today}:*`);
    expect(keys.length).toBe(6); // cards, the names of the lists, and the four lists
    for (const key of keys) expect(await hot.harness.redis.pttl(key)).toBeGreaterThan(10 * 86_400_000);
  });

  it('makes room for the next day before it begins', async () => {
    expect(await fromRedis(hot.harness, hot.projector, { day: addDays(hot.harness.today, 1) })).toEqual([]);
    expect(await fromRedis(hot.harness, hot.projector, { day: addDays(hot.harness.today, 2) })).toBeNull();
  });
});

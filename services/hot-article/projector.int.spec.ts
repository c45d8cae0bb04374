import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { EventEnvelope } from '../../events/envelope.ts';
import { addDays } from '../../ranking/days.ts';
import { linear } from '../../ranking/formula.ts';
import type { Projector } from './projector.ts';
import * as make from './testing/events.ts';
import {
  commitOnly,
  createHarness,
  feed,
  fromMysql,
  fromRedis,
  type Harness,
  idsOf,
  rowsOf,
} from './testing/harness.ts';
import { seeded, shuffled } from './testing/random.ts';

let harness: Harness;
let projector: Projector;
let lastId = 9_007_199_254_740_993n;

beforeAll(async () => {
  harness = await createHarness();
});
afterAll(() => harness.close());

beforeEach(async () => {
  await harness.flush();
  for (const table of ['hot_article', 'hot_article_dirty', 'hot_setting'])
    await harness.database.write(`DELETE FROM ${table}`);
  projector = harness.projector();
  await projector.healer.heal();
});

const newId = () => String(++lastId);
const { liked, unliked, commented, viewed } = make;
const created = (articleId: string, fields: Parameters<typeof make.created>[2] = {}) =>
  make.created(articleId, 1, { createdAt: harness.at(), ...fields });
const deleted = (articleId: string, version = 2) => make.deleted(articleId, version, { createdAt: harness.at() });
const dirty = () => rowsOf<{ article_id: string; rev: string }>(harness, 'SELECT * FROM hot_article_dirty');

/** Both halves tell the same, and this. */
async function expectList(ids: string[], query: Parameters<typeof fromMysql>[1] = {}): Promise<void> {
  const items = await fromMysql(harness, query);
  expect(idsOf(items)).toEqual(ids);
  expect(await fromRedis(harness, projector, query)).toEqual(items);
}

/** Articles with these scores, by likes and views. */
async function articlesWith(scores: readonly number[]): Promise<string[]> {
  const ids = scores.map(newId);
  await feed(
    harness,
    projector,
    ids.flatMap((articleId, index) => [created(articleId), viewed(articleId, 1, scores[index]!)]),
  );
  return ids;
}

describe('the lists', () => {
  it('show what each article scores and why', async () => {
    const articleId = newId();
    const events = [
      created(articleId, { title: 'Ünï “çödé” 🎉' }),
      liked(articleId, 1, 4),
      commented(articleId, 1, 3),
      viewed(articleId, 1, 2),
    ];
    await feed(harness, projector, events);
    expect(await fromRedis(harness, projector)).toEqual([
      { articleId, title: 'Ünï “çödé” 🎉', score: 20, likes: 4, comments: 3, views: 2 },
    ]);
    await expectList([articleId]);
  });

  it('are the same whatever the order of events and batches is, each of them twice', async () => {
    const ids = [newId(), newId(), newId()];
    const [first, second, third] = ids as [string, string, string];
    const events: EventEnvelope[] = [
      ...ids.map((articleId) => created(articleId)),
      make.edited(first, 2, 'edited', { createdAt: harness.at() }),
      ...[1, 2, 3, 4, 5].map((version) => liked(first, version, version)),
      unliked(first, 6, 4),
      commented(first, 1, 1),
      ...[1, 2].map((version) => viewed(second, version, version * 10)),
      deleted(third, 3),
      liked(third, 1, 100),
    ];
    const expected = [
      { articleId: second, title: `title ${second}`, score: 20, likes: 0, comments: 0, views: 20 },
      { articleId: first, title: 'edited', score: 14, likes: 4, comments: 1, views: 0 },
    ];
    const random = seeded(7);
    for (let round = 0; round < 12; round++) {
      await harness.flush();
      await harness.database.write('DELETE FROM hot_article');
      await projector.healer.heal();
      const order = shuffled([...events, ...events], random);
      while (order.length > 0) await feed(harness, projector, order.splice(0, 1 + Math.floor(random() * 6)));
      expect(await fromMysql(harness)).toEqual(expected);
      expect(await fromRedis(harness, projector)).toEqual(expected);
    }
  });

  it('count a like that comes before the create of its article, and do not show the article before', async () => {
    const articleId = newId();
    await feed(harness, projector, [liked(articleId, 1, 2)]);
    await expectList([]);
    await feed(harness, projector, [created(articleId)]);
    expect(await fromRedis(harness, projector)).toMatchObject([{ articleId, likes: 2, score: 6 }]);
  });

  it('never show a deleted article again, whatever comes late', async () => {
    const [articleId] = await articlesWith([5]);
    await feed(harness, projector, [deleted(articleId!, 4)]);
    await expectList([]);
    const late = [
      liked(articleId!, 1, 9),
      make.edited(articleId!, 3, 'late', { createdAt: harness.at() }),
      created(articleId!),
    ];
    for (const event of late) await feed(harness, projector, [event]);
    await expectList([]);
    await projector.rebuild({});
    await expectList([]);
  });

  it('let number 11 in when number 1 is deleted', async () => {
    const ids = await articlesWith([120, 110, 100, 90, 80, 70, 60, 50, 40, 30, 20, 10]);
    await expectList(ids.slice(0, 10), { limit: 10 });
    await feed(harness, projector, [deleted(ids[0]!)]);
    await expectList(ids.slice(1, 11), { limit: 10 });
  });

  it('sort anew after an unlike', async () => {
    const [first, second] = [newId(), newId()];
    await feed(harness, projector, [
      created(first),
      created(second),
      liked(first, 1, 1),
      liked(second, 1, 1),
      liked(first, 2, 2),
    ]);
    await expectList([first, second]);
    await feed(harness, projector, [unliked(first, 3, 0)]);
    await expectList([second, first]);
  });

  it('put the newer article first where scores are equal, ids of different lengths included', async () => {
    const ids = ['8', '95', '94', '9007199254740993000', '9007199254740992999'];
    await feed(
      harness,
      projector,
      ids.flatMap((articleId) => [created(articleId), viewed(articleId, 1, 3)]),
    );
    await expectList(['9007199254740993000', '9007199254740992999', '95', '94', '8']);
  });

  it('are one for each board and one for all', async () => {
    const [inFirst, inSecond] = [newId(), newId()];
    await feed(harness, projector, [created(inFirst, { boardId: '11' }), created(inSecond, { boardId: '22' })]);
    await expectList([inSecond, inFirst]);
    await expectList([inFirst], { boardId: '11' });
    await expectList([inSecond], { boardId: '22' });
    await expectList([], { boardId: '33' });
    await feed(harness, projector, [make.edited(inFirst, 2, 'moved', { boardId: '22', createdAt: harness.at() })]);
    await expectList([], { boardId: '11' });
    await expectList([inSecond, inFirst].sort().reverse(), { boardId: '22' });
  });

  it('are one for each day, by the time of the article', async () => {
    const [today, yesterday, tooOld] = [newId(), newId(), newId()];
    const events = [
      created(today),
      created(yesterday, { createdAt: harness.at(1) }),
      created(tooOld, { createdAt: harness.at(10) }),
    ];
    await feed(harness, projector, [...events, liked(yesterday, 1, 3), liked(tooOld, 1, 3)]);
    await expectList([today]);
    await expectList([yesterday], { day: addDays(harness.today, -1) });
    expect(await fromRedis(harness, projector, { day: addDays(harness.today, -10) })).toBeNull();
    await projector.refresher.settled();
    expect(await dirty()).toEqual([]); // nothing of a day that is not kept waits for Redis
  });

  it('lose no count where many transactions touch the same articles at once', async () => {
    const ids = Array.from({ length: 20 }, newId);
    const batches = ids.flatMap((articleId, index) => [
      [created(articleId)],
      [liked(articleId, 1, index)],
      [commented(articleId, 1, index)],
      [viewed(articleId, 1, index)],
    ]);
    const random = seeded(3);
    const workers = Array.from({ length: 6 }, () => [] as EventEnvelope[][]);
    for (const batch of shuffled(batches, random)) workers[Math.floor(random() * workers.length)]!.push(batch);
    await Promise.all(
      workers.map(async (work) => {
        for (let at = 0; at < work.length; at += 5) await feed(harness, projector, work.slice(at, at + 5).flat());
      }),
    );
    await expectList([...ids].reverse());
    const revs = await rowsOf<{ rev: string }>(harness, 'SELECT rev FROM hot_article');
    expect(revs.every(({ rev }) => BigInt(rev) >= 1n && BigInt(rev) <= 4n)).toBe(true);
    await projector.refresher.settled();
    expect(await dirty()).toEqual([]);
  });
});

describe('writing to Redis', () => {
  it('refuses an older rev that comes late, also after a delete', async () => {
    const [articleId] = await articlesWith([5]);
    const [old] = await rowOf(articleId!);
    await feed(harness, projector, [viewed(articleId!, 2, 50)]);
    expect(await projector.store.push([old!])).toEqual(['newer']);
    await expectList([articleId!]);
    await feed(harness, projector, [deleted(articleId!)]);
    expect(await projector.store.push([old!])).toEqual(['newer']);
    await expectList([]);
  });

  it('clears a dirty mark only where the rev is what was written', async () => {
    const articleId = newId();
    await commitOnly(harness, projector, [created(articleId)]);
    const [first] = await rowOf(articleId);
    await commitOnly(harness, projector, [liked(articleId, 1, 1)]);
    await projector.refresher.refresh([first!]);
    await projector.refresher.settled();
    expect(await dirty()).toEqual([expect.objectContaining({ article_id: articleId, rev: '2' })]);
    await projector.healer.heal();
    expect(await dirty()).toEqual([]);
    await expectList([articleId]);
  });

  it('is made good for a process that died after the commit', async () => {
    const articleId = newId();
    await commitOnly(harness, projector, [created(articleId), liked(articleId, 1, 1)]);
    expect(await fromRedis(harness, projector)).toEqual([]);
    await projector.healer.heal();
    await expectList([articleId]);
  });

  it('leaves marks alone that somebody may just be working on', async () => {
    const patient = harness.projector({ graceMs: 60_000 });
    await commitOnly(harness, projector, [created(newId())]);
    await patient.healer.heal();
    expect(await fromRedis(harness, projector)).toEqual([]);
  });

  it('goes on in MySQL while Redis is away, and catches up when it is back', async () => {
    const closed = await harness.openRedis('redis://127.0.0.1:1');
    const blind = harness.projector({ redis: closed });
    const articleId = newId();
    const startedMs = performance.now();
    for (let count = 1; count <= 20; count++)
      await feed(harness, blind, [created(articleId), liked(articleId, count, count)]);
    expect(performance.now() - startedMs).toBeLessThan(5000);
    expect(await fromMysql(harness)).toMatchObject([{ articleId, likes: 20 }]);
    await expect(blind.healer.heal()).rejects.toThrow();
    expect(blind.healer.behindMs).toBeGreaterThan(0);
    await projector.healer.heal();
    await expectList([articleId]);
    expect(await dirty()).toEqual([]);
  });

  function rowOf(articleId: string) {
    return harness.database.transaction(async (tx) => {
      const { lockExisting } = await import('./hot-table.ts');
      return lockExisting(tx, [articleId]);
    });
  }
});

describe('a flush of Redis', () => {
  it('makes the lists unreadable, never wrong, until they are built anew', async () => {
    const ids = await articlesWith([30, 20, 10]);
    await harness.flush();
    expect(await fromRedis(harness, projector)).toBeNull();
    await feed(harness, projector, [viewed(ids[2]!, 2, 40)]);
    expect(await fromRedis(harness, projector)).toBeNull();
    await projector.healer.heal();
    await expectList([ids[2]!, ids[0]!, ids[1]!]);
    expect(await dirty()).toEqual([]);
  });

  it('is noticed where only the cards of a day are gone', async () => {
    const ids = await articlesWith([30, 20]);
    const cards = (await harness.redis.keys(`${harness.namespace}:*:cards`)).filter((key) =>
      key.includes(harness.today),
    );
    await harness.redis.unlink(...cards);
    expect(await fromRedis(harness, projector)).toBeNull();
    await feed(harness, projector, [viewed(ids[1]!, 2, 40)]);
    await projector.healer.heal();
    await expectList([ids[1]!, ids[0]!]);
  });

  it('loses nothing where it comes in the middle of a rebuild', async () => {
    const ids = await articlesWith([30, 20, 10]);
    const push = projector.store.push.bind(projector.store);
    let flushed = false;
    projector.store.push = async (rows, to) => {
      if (!flushed && rows.length > 0) {
        flushed = true;
        await harness.flush();
      }
      return push(rows, to);
    };
    await expect(projector.rebuild({})).rejects.toMatchObject({ code: 'REBUILD_INTERRUPTED' });
    expect(await fromRedis(harness, projector)).toBeNull();
    await projector.healer.heal();
    await expectList(ids);
  });
});

describe('another Redis server', () => {
  it('is not trusted with its lists: a restart may have brought back an old state', async () => {
    const ids = await articlesWith([30, 20]);
    await harness.redis.zadd(await keyOf('all'), 99, 'tampered');
    await harness.redis.hset(`${harness.namespace}:{hot}:generations`, 'server', 'another');
    await projector.healer.heal();
    await expectList(ids);
  });

  async function keyOf(name: string): Promise<string> {
    const keys = await harness.redis.keys(`${harness.namespace}:*:${name}`);
    return keys.find((key) => key.includes(harness.today))!;
  }
});

describe('a rebuild', () => {
  it('takes the place of what is wrong in Redis, for one day or all', async () => {
    const ids = await articlesWith([30, 20]);
    for (const key of await harness.redis.keys(`${harness.namespace}:*:all`))
      await harness.redis.zrem(key, `${ids[0]}`.padStart(20, '0'));
    expect(idsOf(await fromRedis(harness, projector))).toEqual([ids[1]]);
    const report = await projector.rebuild({ days: [harness.today] });
    expect(report).toMatchObject({ days: [{ day: harness.today, articles: 2 }], articles: 2, rescored: 0 });
    await expectList(ids);
  });

  it('leaves no keys of earlier generations behind', async () => {
    await articlesWith([30, 20]);
    const before = (await harness.redis.keys(`${harness.namespace}:*`)).length;
    await projector.rebuild({});
    await projector.rebuild({});
    expect(await harness.redis.keys(`${harness.namespace}:*`)).toHaveLength(before);
  });

  it('loses no change that is made meanwhile, by this process or another', async () => {
    const ids = Array.from({ length: 300 }, newId);
    await feed(
      harness,
      projector,
      ids.map((articleId) => created(articleId)),
    );
    const other = harness.projector({ redis: await harness.openRedis() });
    const random = seeded(11);
    const versions = new Map<string, number>();
    let stopped = false;
    const change = async (by: Projector) => {
      while (!stopped) {
        const events = Array.from({ length: 5 }, () => {
          const articleId = ids[Math.floor(random() * ids.length)]!;
          const version = (versions.get(articleId) ?? 0) + 1;
          versions.set(articleId, version);
          return viewed(articleId, version, Math.floor(random() * 1000));
        });
        if (random() < 0.1) events.push(deleted(ids.splice(0, 1)[0]!, 9));
        await feed(harness, by, events);
      }
    };
    const changing = [change(projector), change(other)];
    const small = harness.projector();
    (small.rebuilder as unknown as { pageSize?: number }).pageSize = 20;
    for (let round = 0; round < 5; round++) await small.rebuild({ days: [harness.today], lockWaitMs: 5000 });
    stopped = true;
    await Promise.all(changing);
    const items = await fromMysql(harness, { limit: 1000 });
    expect(items.length).toBeGreaterThan(100);
    expect(await fromRedis(harness, projector, { limit: 1000 })).toEqual(items);
  });

  it('runs once at a time in the whole cluster', async () => {
    await articlesWith([30]);
    expect(await projector.store.lockRebuild('somebody', 10_000)).toBe(true);
    await expect(projector.rebuild({})).rejects.toMatchObject({ code: 'REBUILD_RUNNING', retryable: true });
    await projector.store.unlockRebuild('somebody');
    await projector.rebuild({});
  });

  it('that was left unfinished is finished by the healer', async () => {
    const ids = await articlesWith([30, 20]);
    await projector.store.begin(harness.today, 'abandoned');
    await feed(harness, projector, [viewed(ids[1]!, 2, 50)]);
    await projector.healer.heal();
    expect((await projector.store.generations()).building.size).toBe(0);
    expect(await harness.redis.keys(`${harness.namespace}:*abandoned*`)).toEqual([]);
    await expectList([ids[1]!, ids[0]!]);
  });

  it('follows MySQL where that went back to a backup', async () => {
    const [articleId] = await articlesWith([30]);
    for (const version of [2, 3, 4]) await feed(harness, projector, [viewed(articleId!, version, 99)]);
    await projector.refresher.settled();
    await harness.database.write('UPDATE hot_article SET rev = 1, view_count = 7, score = 7, view_version = 1');
    await feed(harness, projector, [commented(articleId!, 1, 1)]);
    await projector.healer.heal();
    await projector.healer.heal();
    await expectList([articleId!]);
    expect(await fromRedis(harness, projector)).toMatchObject([{ score: 9 }]);
  });
});

describe('settings that changed', () => {
  it('are applied to all rows and lists at the next start', async () => {
    const [first, second] = [newId(), newId()];
    await feed(harness, projector, [created(first), created(second), liked(first, 1, 2), viewed(second, 1, 5)]);
    await expectList([first, second]);
    const restarted = harness.projector({ formula: linear({ likes: 1, comments: 1, views: 10 }) });
    await restarted.healer.heal();
    await expectList([second, first]);
    expect(await fromRedis(harness, projector)).toMatchObject([{ score: 50 }, { score: 2 }]);
  });

  it('to a formula that changes with time are refused', () => {
    const formula = { ...linear({ likes: 1, comments: 1, views: 1 }), changesWithTime: true };
    expect(() => harness.projector({ formula })).toThrow(/changes with time/);
  });
});

describe('what is too old', () => {
  it('leaves Redis and, some days later, MySQL', async () => {
    const [old, today] = [newId(), newId()];
    await feed(harness, projector, [created(old, { createdAt: harness.at(9) }), created(today)]);
    const oldDay = addDays(harness.today, -9);
    await expectList([old], { day: oldDay });

    const laterBy = (days: number) => harness.projector({ nowMs: () => Date.parse(harness.at()) + days * 86_400_000 });
    await laterBy(1).healer.heal();
    expect(await fromRedis(harness, projector, { day: oldDay })).toBeNull();
    expect(await harness.redis.keys(`${harness.namespace}:*:${oldDay}:*`)).toEqual([]);
    expect(await rowsOf(harness, 'SELECT 1 FROM hot_article')).toHaveLength(2);

    await laterBy(13).healer.heal();
    expect(await rowsOf(harness, 'SELECT 1 FROM hot_article')).toHaveLength(0);
    expect(await dirty()).toEqual([]);
  });

  it('has an end in Redis also where nobody takes it away', async () => {
    await articlesWith([3]);
    const keys = await harness.redis.keys(`${harness.namespace}:*:${harness.today}:*`);
    expect(keys.length).toBe(4);
    for (const key of keys) expect(await harness.redis.pttl(key)).toBeGreaterThan(10 * 86_400_000);
  });

  it('makes room for the next day before it begins', async () => {
    expect(await fromRedis(harness, projector, { day: addDays(harness.today, 1) })).toEqual([]);
    expect(await fromRedis(harness, projector, { day: addDays(harness.today, 2) })).toBeNull();
  });
});

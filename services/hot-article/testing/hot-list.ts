import { afterAll, beforeAll, beforeEach, expect } from '@jest/globals';
import type { Projector } from '../projector.ts';
import * as make from './events.ts';
import { createHarness, feed, fromMysql, fromRedis, type Harness, idsOf } from './harness.ts';

/** The hot list on real servers as a test file uses it: emptied before each test, with a projector that is ready. */
export function useHotList() {
  const given = {} as { harness: Harness; projector: Projector };
  let lastId = 9_007_199_254_740_993n;

  beforeAll(async () => {
    given.harness = await createHarness();
  });
  afterAll(() => given.harness.close());
  beforeEach(async () => {
    await given.harness.flush();
    for (const table of ['hot_article', 'hot_article_dirty', 'hot_setting']) {
      await given.harness.database.write(`DELETE FROM ${table}`);
    }
    given.projector = given.harness.projector();
    await given.projector.healer.heal();
  });

  const newId = () => String(++lastId);
  const created = (articleId: string, fields: Parameters<typeof make.created>[2] = {}) =>
    make.created(articleId, 1, { createdAt: given.harness.at(), ...fields });
  const deleted = (articleId: string, version = 2) =>
    make.deleted(articleId, version, { createdAt: given.harness.at() });

  return Object.assign(given, {
    newId,
    created,
    deleted,
    dirty: () => given.harness.database.query<{ article_id: string; rev: string }>('SELECT * FROM hot_article_dirty'),
    /** Both halves tell the same, and this. */
    async expectList(ids: string[], query: Parameters<typeof fromMysql>[1] = {}): Promise<void> {
      const items = await fromMysql(given.harness, query);
      expect(idsOf(items)).toEqual(ids);
      expect(await fromRedis(given.harness, given.projector, query)).toEqual(items);
    },
    /** Articles with these scores, all of them by views. */
    async articlesWith(scores: readonly number[]): Promise<string[]> {
      const ids = scores.map(newId);
      await feed(
        given.harness,
        given.projector,
        ids.flatMap((articleId, index) => [created(articleId), make.viewed(articleId, 1, scores[index]!)]),
      );
      return ids;
    },
  });
}

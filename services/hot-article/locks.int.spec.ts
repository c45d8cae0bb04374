import { describe, expect, it } from '@jest/globals';
import { clearMarks, lockExisting } from './hot-table.ts';
import { commitOnly } from './testing/harness.ts';
import { useHotList } from './testing/hot-list.ts';

const hot = useHotList();

describe('beside a transaction that is not committed', () => {
  it('marks of other articles are cleared and their rows locked without a wait', async () => {
    // most rows of a small table: the optimizer would rather read all
    const ids = Array.from({ length: 60 }, hot.newId);
    await commitOnly(
      hot.harness,
      hot.projector,
      ids.map((articleId) => hot.created(articleId)),
    );
    const { database } = hot.harness;
    const rows = await database.transaction((tx) => lockExisting(tx, ids));
    const [held, ...others] = [rows[30]!, ...rows.filter((_, index) => index !== 30)];
    await database.transaction(async (first) => {
      await lockExisting(first, [held.articleId]);
      await clearMarks(first, [held]);
      await database.transaction(async (second) => {
        await second.write('SET SESSION innodb_lock_wait_timeout = 1');
        await lockExisting(
          second,
          others.map(({ articleId }) => articleId),
        );
        await clearMarks(second, others);
      });
    });
    expect(await hot.dirty()).toEqual([]);
  });
});

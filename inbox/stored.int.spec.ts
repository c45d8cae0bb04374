import { describe, expect, it } from '@jest/globals';
import { writesEffects } from './testing/database.ts';
import { testEvent } from './testing/events.ts';
import { useMysqlInbox } from './testing/mysql-inbox.ts';

const on = useMysqlInbox();

describe('what an inbox stores in MySQL', () => {
  it('never moves a stored offset backwards, but where it is reset', async () => {
    const { process, store } = on.member();
    const place = { topic: 'test.like', partition: 0 };
    await process([testEvent('1', 1)], 41n);
    await process([testEvent('1', 1)], 7n);
    expect(await store.offsets([place, { topic: 'test.like', partition: 1 }])).toMatchObject([
      { ...place, offset: 42n },
    ]);
    await store.resetOffset({ ...place, offset: 5n });
    expect(await store.offsets([place])).toMatchObject([{ offset: 5n }]);
    const [offset] = await store.allOffsets();
    expect(Math.abs(offset!.updatedAt.getTime() - Date.now())).toBeLessThan(60_000);
  });

  it('holds events, offsets and versions above 2^53', async () => {
    const { process, store } = on.member();
    const id = '9223372036854775807';
    const big = { ...testEvent('1', 1), aggregateId: id, version: 9_007_199_254_740_993n };
    expect(await process([big], 9_007_199_254_740_993n)).toBe(9_007_199_254_740_994n);
    await process([big]);
    expect(await on.database.effects()).toEqual([`${id}.9007199254740993`]);
    expect(await store.allOffsets()).toMatchObject([{ offset: 9_007_199_254_740_994n }]);
  });

  it('tells ids apart that differ in case, accents or trailing spaces', async () => {
    const { process } = on.member();
    const ids = ['a', 'A', 'á', 'a ', "a'b\\"];
    const events = ids.map((aggregateId, index) => ({
      ...testEvent(String(index + 1), 1),
      aggregateId,
    }));
    await process(events);
    expect(await on.database.effects()).toEqual(ids.map((id) => `${id}.1`));
    expect(await on.count('inbox_stream')).toBe(5);
  });

  it('refuses a consumer in another mode than it was registered with', async () => {
    await on.member().process([testEvent('1', 1)]);
    await expect(on.member(writesEffects, { mode: 'sequence' }).store.allOffsets()).rejects.toMatchObject({
      code: 'INBOX_MODE_CHANGED',
      message: expect.stringContaining(`The inbox ${on.consumer()} has mode state in its database and sequence here`),
    });
  });
});

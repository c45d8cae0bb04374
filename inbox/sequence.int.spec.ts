import { describe, expect, it } from '@jest/globals';
import { writesEffects } from './testing/database.ts';
import { testEvent } from './testing/events.ts';
import { useMysqlInbox } from './testing/mysql-inbox.ts';

const on = useMysqlInbox();

describe('a sequence inbox on MySQL', () => {
  it('parks early events in the database and applies them in order after a restart', async () => {
    const events = Array.from({ length: 5 }, (_, index) => testEvent('1', index + 1));
    const early = [events[3]!, events[1]!, events[4]!];
    await on.member(writesEffects, { mode: 'sequence' }).process(early);
    await on.member(writesEffects, { mode: 'sequence' }).process(early);
    expect(await on.count('inbox_parked')).toBe(3);
    expect(await on.count('inbox_stream', 'version = 0 AND parked = 3')).toBe(1);
    expect(await on.count('inbox')).toBe(0);
    await on.member(writesEffects, { mode: 'sequence' }).process([events[0]!], 3n);
    expect(await on.database.effects()).toEqual(['1.1', '1.2']);
    await on.member(writesEffects, { mode: 'sequence' }).process([events[2]!], 4n);
    expect(await on.database.effects()).toEqual(['1.1', '1.2', '1.3', '1.4', '1.5']);
    expect(await on.count('inbox_parked')).toBe(0);
    expect(await on.count('inbox_stream', 'version = 5 AND parked = 0')).toBe(1);
  });

  it('says which versions are missing and what waits for them', async () => {
    const { process, store } = on.member(writesEffects, { mode: 'sequence' });
    const later = { incarnation: 'bbbbbbbb-0000-4000-8000-000000000002', occurredAt: new Date(1_800_000_000_000) };
    await process([
      ...[1, 4, 6].map((version) => testEvent('1', version)),
      testEvent('2', 1),
      testEvent('3', 2),
      testEvent('2', 3, { ...later, eventId: '018bcfe5-6801-7000-8000-00000000abcd' }),
    ]);
    const gaps = await store.gaps(0, 10);
    const [one, two, three] = gaps.toSorted((a, b) => Number(a.aggregateId) - Number(b.aggregateId));
    expect(gaps).toHaveLength(3);
    expect(one).toMatchObject({
      aggregateId: '1',
      version: 2n,
      firstParked: 4n,
      parked: 2,
      topic: 'test.like',
      partition: 0,
    });
    expect(two).toMatchObject({ aggregateId: '2', version: 1n, firstParked: 3n, incarnation: later.incarnation });
    expect(three).toMatchObject({ aggregateId: '3', version: 1n, firstParked: 2n });
    expect(one!.ageMs).toBeLessThan(20_000);
    expect(await store.gaps(60_000, 10)).toEqual([]);
    expect(await store.gaps(0, 1)).toHaveLength(1);
    expect(await store.backlog()).toMatchObject({ parked: 4, deadLetters: 0 });
  });

  it('goes on past a version by hand; what was parked before it becomes a dead letter', async () => {
    const { process, store, worker } = on.member(writesEffects, { mode: 'sequence' });
    await process([1, 3, 5, 6].map((version) => testEvent('1', version)));
    const [gap] = await store.gaps(0, 10);
    await worker.skip(gap!, 4n, 'lost in the fire', new AbortController().signal);
    expect(await on.database.effects()).toEqual(['1.1', '1.5', '1.6']);
    expect(await on.count('inbox_parked')).toBe(0);
    expect(await on.count('dead_letter', "reason = 'gap' AND version = 3 AND detail LIKE '%lost in the fire'")).toBe(1);
    await worker.skip(gap!, 2n, 'too late', new AbortController().signal);
    await process([testEvent('1', 7)], 4n);
    expect((await on.database.effects()).at(-1)).toBe('1.7');
  });

  it('begins where its streams are first seen, where that is its baseline', async () => {
    const { process } = on.member(writesEffects, { mode: 'sequence', baseline: 'first-seen' });
    await process([7, 9, 8].map((version) => testEvent('1', version)));
    expect(await on.database.effects()).toEqual(['1.7', '1.8', '1.9']);
  });
});

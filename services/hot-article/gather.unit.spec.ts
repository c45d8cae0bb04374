import { describe, expect, it } from '@jest/globals';
import { daysIn } from '../../ranking/days.ts';
import { linear } from '../../ranking/formula.ts';
import { applyPatch } from './apply.ts';
import { gather, lineOf } from './gather.ts';
import type { HotRow } from './hot-row.ts';
import { commented, created, deleted, edited, emptyRow, liked, viewed } from './testing/events.ts';

const scoring = { formula: linear({ likes: 3, comments: 2, views: 1 }), days: daysIn('Asia/Seoul') };

/** The row after these events, one patch for each event. */
function after(events: Parameters<typeof gather>[0], row: HotRow = emptyRow('7')): HotRow {
  return events.reduce((current, event) => applyPatch(current, gather([event])[0]!, scoring) ?? current, row);
}

function permutations<Item>(items: readonly Item[]): Item[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item, index) =>
    permutations([...items.slice(0, index), ...items.slice(index + 1)]).map((rest) => [item, ...rest]),
  );
}

describe('gathering a batch', () => {
  it('keeps the newest state of each source and sorts by id as numbers', () => {
    const patches = gather([
      liked('10', 1, 1),
      liked('9', 1, 1),
      liked('10', 3, 30),
      liked('10', 2, 20),
      viewed('10', 1, 5),
    ]);
    expect(patches.map(({ articleId }) => articleId)).toEqual(['9', '10']);
    expect(patches[1]).toMatchObject({ like: { count: 30 }, view: { count: 5 } });
  });

  it('orders incarnations by the time in their UUID', () => {
    const older = '018f0000-0000-7000-8000-000000000000';
    const newer = '0190abcd-0000-7000-8000-000000000000';
    expect(lineOf(newer)).toBeGreaterThan(lineOf(older));
  });
});

describe('applying patches', () => {
  it('ends in one state whatever the order of events is', () => {
    const events = [
      created('7', 1),
      edited('7', 2, 'second title'),
      liked('7', 1, 1),
      liked('7', 2, 2),
      commented('7', 1, 4),
    ];
    for (const order of permutations(events)) {
      const row = after(order);
      expect(row).toMatchObject({ title: 'second title', likes: 2, comments: 4, score: 14, deleted: false });
      expect(row.day).toBe('2026-11-21');
    }
  });

  it('counts a like that comes before its create, and lists the article only then', () => {
    const before = after([liked('7', 1, 5)]);
    expect(before).toMatchObject({ likes: 5, day: null, title: null, score: 15 });
    expect(after([created('7', 1)], before)).toMatchObject({ likes: 5, day: '2026-11-21', score: 15 });
  });

  it('keeps a deleted article deleted whatever comes later', () => {
    const row = after([
      created('7', 1),
      deleted('7', 3),
      liked('7', 1, 9),
      edited('7', 2, 'late'),
      edited('7', 4, 'after it'),
      commented('7', 1, 1),
    ]);
    expect(row.deleted).toBe(true);
  });

  it('changes nothing, and not the rev, by an event that it has or a newer one of', () => {
    const row = after([created('7', 1), liked('7', 5, 50)]);
    expect(row.rev).toBe(2n);
    expect(applyPatch(row, gather([liked('7', 5, 50)])[0]!, scoring)).toBeNull();
    expect(applyPatch(row, gather([liked('7', 4, 40)])[0]!, scoring)).toBeNull();
  });

  it('applies the new half of a patch whose other half is old', () => {
    const row = after([created('7', 1), liked('7', 5, 50)]);
    const next = applyPatch(row, gather([liked('7', 4, 40), viewed('7', 1, 2)])[0]!, scoring);
    expect(next).toMatchObject({ likes: 50, views: 2, score: 152, rev: 3n });
  });

  it('follows a producer whose database was made anew, and never goes back to the old one', () => {
    const newer = '0193ffff-0000-7000-8000-000000000000';
    const row = after([created('7', 1), deleted('7', 9)]);
    const renewed = after([created('7', 1, { incarnation: newer, title: 'another' })], row);
    expect(renewed).toMatchObject({ deleted: false, title: 'another' });
    expect(after([edited('7', 10, 'of the old database')], renewed).title).toBe('another');
  });

  it('uses the day of the article, not of the event, in the zone of the settings', () => {
    const row = after([created('7', 1, { createdAt: '2026-11-21T15:00:00.000Z' })]);
    expect(row.day).toBe('2026-11-22');
  });

  it('cuts a title that the table could not hold', () => {
    expect([...after([created('7', 1, { title: '😀'.repeat(3000) })]).title!]).toHaveLength(1000);
  });
});

import { describe, expect, it } from '@jest/globals';
import { decide, shares } from './decide.ts';
import type { Lease, Member } from './types.ts';

const alive = 3_000;

/** `owners[bucket]`; null: free. */
function table(owners: readonly (string | null)[], members: readonly string[]): { leases: Lease[]; members: Member[] } {
  return {
    leases: owners.map((owner, bucket) => ({ bucket, owner, epoch: 1, remainingMs: owner === null ? -1 : alive })),
    members: members.map((id) => ({ id, remainingMs: alive })),
  };
}

function decision(me: string, owners: readonly (string | null)[], members: readonly string[], more = {}) {
  return decide({ source: 's', me, table: table(owners, members), giving: new Set(), leaving: false, ...more });
}

const free = (count: number): null[] => Array.from({ length: count }, () => null);

describe('what a relay takes and gives back', () => {
  it('takes everything when it is alone', () => {
    expect(decision('a', free(4), ['a']).acquire.sort()).toEqual([0, 1, 2, 3]);
  });

  it('counts itself even where its own row is not there yet', () => {
    expect(decision('a', free(4), []).acquire).toHaveLength(4);
    expect(decision('b', ['a', 'a', null, null], ['a']).acquire).toHaveLength(2);
  });

  it('takes nothing from a live owner', () => {
    expect(decision('b', ['a', 'a', 'a', 'a'], ['a', 'b'])).toMatchObject({ acquire: [], release: [] });
  });

  it('gives back what is above its share as soon as somebody else is there', () => {
    expect(decision('a', ['a', 'a', 'a', 'a'], ['a', 'b'])).toMatchObject({ acquire: [], release: [2, 3] });
  });

  it('takes a lease that is over, of a dead owner or of its own', () => {
    const both = table(['dead', 'a'], ['a']);
    both.leases[0]!.remainingMs = 0;
    both.leases[1]!.remainingMs = -5;
    const { mine, acquire } = decide({ source: 's', me: 'a', table: both, giving: new Set(), leaving: false });
    expect(mine).toEqual([]);
    expect(acquire.sort()).toEqual([0, 1]);
  });

  it('does not count members whose time is over', () => {
    const dead = table(free(4), ['a', 'b']);
    dead.members[1]!.remainingMs = 0;
    expect(decide({ source: 's', me: 'a', table: dead, giving: new Set(), leaving: false }).acquire).toHaveLength(4);
  });

  it('neither takes nor keeps what is being given back, and gives it back once', () => {
    const giving = new Set([2, 3]);
    expect(decision('a', ['a', 'a', 'a', 'a'], ['a', 'b'], { giving })).toMatchObject({ acquire: [], release: [] });
    expect(decision('a', ['a', 'a', null, null], ['a'], { giving })).toMatchObject({ acquire: [], release: [] });
  });

  it('gives back all and takes nothing on the way out', () => {
    expect(decision('a', ['a', null, 'a', 'b'], ['b'], { leaving: true })).toMatchObject({
      acquire: [],
      release: [0, 2],
    });
  });

  it('leaves the buckets of a relay that is stopping to the others', () => {
    // b has removed its member row and still finishes bucket 3
    expect(decision('a', ['a', 'a', null, 'b'], ['a']).acquire).toEqual([2]);
  });
});

describe('shares', () => {
  const members = ['a', 'b', 'c', 'd', 'e'];

  it.each([1, 2, 3, 4, 5])('of %i relays add up to all buckets and differ by one at most', (count) => {
    for (const buckets of [1, 2, 7, 8, 16]) {
      const all = [...shares({ source: 's', me: 'a', table: table(free(buckets), members.slice(0, count)) }).values()];
      expect(all.reduce((sum, share) => sum + share)).toBe(buckets);
      expect(Math.max(...all) - Math.min(...all)).toBeLessThanOrEqual(1);
    }
  });

  it('are the same for everybody who sees the same table', () => {
    const seen = table(['a', 'a', 'b', null, 'c', 'c', 'c', null], ['c', 'a', 'b']);
    const views = ['a', 'b', 'c'].map((me) => shares({ source: 's', me, table: seen }));
    for (const view of views) expect(new Map([...view].sort())).toEqual(new Map([...views[0]!].sort()));
  });

  it('give the odd buckets to those who have more already, so that nothing moves without need', () => {
    expect(decision('a', ['a', 'a', 'a', 'b', 'b'], ['a', 'b'])).toMatchObject({ acquire: [], release: [] });
    expect(decision('b', ['b', 'b', 'b', 'a', 'a'], ['a', 'b'])).toMatchObject({ acquire: [], release: [] });
  });

  it('spread the odd buckets of several sources over the relays', () => {
    const lucky = ['article', 'comment', 'like', 'view', 'order', 'payment'].map((source) => {
      const all = shares({ source, me: 'a', table: table(free(1), ['a', 'b']) });
      return all.get('a');
    });
    expect(new Set(lucky)).toEqual(new Set([0, 1]));
  });
});

describe('many relays that decide at the same time', () => {
  /** One round: everybody sees the same table, those who give back do so, and of two who want a bucket the first gets it. */
  function play(owners: (string | null)[], members: readonly string[]): boolean {
    const decisions = members.map((me) => ({ me, ...decision(me, owners, members) }));
    let moved = false;
    for (const { release } of decisions) for (const bucket of release) owners[bucket] = null;
    for (const { me, acquire, release } of decisions) {
      moved ||= release.length > 0;
      for (const bucket of acquire) {
        if (owners[bucket] !== null) continue;
        owners[bucket] = me;
        moved = true;
      }
    }
    return moved;
  }

  it.each([2, 3, 4])('%i of them come to rest in a few rounds, with all buckets shared fairly', (count) => {
    const members = ['a', 'b', 'c', 'd'].slice(0, count);
    for (const start of [free(8), Array(8).fill('a'), Array(8).fill('gone')] as (string | null)[][]) {
      const owners = start.map((owner) => (owner === 'gone' ? null : owner));
      let rounds = 0;
      while (play(owners, members)) expect(++rounds).toBeLessThan(6);
      const counts = members.map((member) => owners.filter((owner) => owner === member).length);
      expect(counts.reduce((sum, one) => sum + one)).toBe(8);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    }
  });

  it('that start at once seldom want the same bucket', () => {
    const members = ['a', 'b', 'c', 'd'];
    const wanted = members.flatMap((me) => decision(me, free(8), members).acquire);
    expect(wanted).toHaveLength(8);
    expect(new Set(wanted).size).toBe(8);
  });
});

import { describe, expect, it } from '@jest/globals';
import { explain } from './explain.ts';
import { formulaNames, formulaOf } from './formula.ts';

const weights = { likes: 3, comments: 2, views: 0.5 };
const counts = { likes: 7, comments: 11, views: 13 };
const createdAtMs = Date.parse('2026-11-21T03:00:00Z');
const nowMs = createdAtMs + 5 * 3_600_000;

describe('the explanation of a score', () => {
  it.each(formulaNames)('of the %s formula comes to the score', (name) => {
    const formula = formulaOf(name, weights);
    const { parts, points, order, time, pull, gravity } = explain(formula, counts, createdAtMs, nowMs);
    expect(parts).toEqual({
      likes: { count: 7, weight: 3, points: 21 },
      comments: { count: 11, weight: 2, points: 22 },
      views: { count: 13, weight: 0.5, points: 6.5 },
    });
    expect(points).toBe(49.5);
    const score = formula.score(formula.stored(counts, createdAtMs), createdAtMs, nowMs);
    const told = { linear: points, reddit: order! + time!, 'hacker-news': pull! / gravity! }[name];
    expect(told).toBeCloseTo(score, 6);
  });
});

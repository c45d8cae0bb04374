import { describe, expect, it } from '@jest/globals';
import { addDays, daysIn, hourMs } from './days.ts';
import { bucketsOf, daysToKeep, windowMs, windowNames } from './windows.ts';

const zones = ['Asia/Seoul', 'UTC', 'Asia/Kathmandu', 'America/New_York', 'Australia/Lord_Howe'];
const moments = [
  '2026-11-21T09:20:00Z',
  '2026-11-21T15:00:00Z',
  '2026-11-21T14:59:59.999Z',
  '2026-03-08T07:30:00Z',
  '2026-11-01T06:10:00Z',
];

describe('the buckets of a window', () => {
  it.each(zones)('hold each moment of it once, and none before it, in %s', (zone) => {
    const days = daysIn(zone);
    for (const moment of moments) {
      const nowMs = Date.parse(moment);
      for (const window of windowNames) {
        for (const short of [false, true]) {
          const buckets = bucketsOf({ window }, nowMs, days, short);
          const stepMs = windowMs[window] / 23;
          for (let ms = nowMs - windowMs[window]; ms <= nowMs; ms += stepMs) {
            const day = days.dayOf(new Date(ms));
            const holding = buckets.filter(
              (bucket) =>
                bucket.day === day &&
                (bucket.hour === null || Math.floor(ms / hourMs) === bucket.hour) &&
                ms >= bucket.fromMs &&
                ms < bucket.toMs,
            );
            const found = `${holding.length} at ${new Date(ms).toISOString()} for the ${window} before ${moment}`;
            expect(found).toBe(`1 at ${new Date(ms).toISOString()} for the ${window} before ${moment}`);
          }
          expect(buckets.every(({ fromMs }) => fromMs === nowMs - windowMs[window])).toBe(true);
        }
      }
    }
  });

  it('are few: whole days, and hours only where the window begins', () => {
    const days = daysIn('Asia/Seoul');
    const nowMs = Date.parse('2026-11-21T09:20:00Z');
    const month = bucketsOf({ window: 'month' }, nowMs, days);
    expect(month.filter(({ hour }) => hour === null)).toHaveLength(30);
    expect(month.length).toBeLessThanOrEqual(30 + 24);
    expect(bucketsOf({ window: 'hour' }, nowMs, days)).toHaveLength(3); // one ahead, for producers whose clock is
  });

  it('have an hour at most where they have to be short and are recent', () => {
    const nowMs = Date.parse('2026-11-21T09:20:00Z');
    for (const { hour, toMs } of bucketsOf({ window: 'week' }, nowMs, daysIn('Asia/Seoul'), true)) {
      expect(hour !== null || toMs < nowMs - 24 * hourMs).toBe(true);
    }
  });

  it('include what a producer whose clock is over midnight already has made', () => {
    const nowMs = Date.parse('2026-11-21T14:59:59Z'); // a second before midnight in Seoul
    const made = new Date(nowMs + 5000);
    const days = daysIn('Asia/Seoul');
    expect(bucketsOf({ window: 'hour' }, nowMs, days).map(({ day }) => day)).toContain(days.dayOf(made));
  });

  it('touch no more days than are kept', () => {
    for (const zone of zones) {
      const days = daysIn(zone);
      for (let hours = 0; hours < 24 * 400; hours += 97) {
        const nowMs = Date.parse('2026-01-01T00:30:00Z') + hours * hourMs;
        const oldest = addDays(days.dayOf(new Date(nowMs)), 1 - daysToKeep(10));
        expect(bucketsOf({ window: 'month' }, nowMs, days)[0]!.day >= oldest).toBe(true);
      }
    }
  });
});

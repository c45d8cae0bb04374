import { describe, expect, it } from '@jest/globals';
import { addDays, daysIn, isDay, keptDays } from './days.ts';

const dayOf = (timeZone: string, moment: string) => daysIn(timeZone).dayOf(new Date(moment));

describe('the day of a moment', () => {
  it('changes at midnight of the zone, to the millisecond', () => {
    expect(dayOf('Asia/Seoul', '2026-11-21T14:59:59.999Z')).toBe('2026-11-21');
    expect(dayOf('Asia/Seoul', '2026-11-21T15:00:00.000Z')).toBe('2026-11-22');
    expect(dayOf('UTC', '2026-11-21T23:59:59.999Z')).toBe('2026-11-21');
    expect(dayOf('UTC', '2026-11-22T00:00:00.000Z')).toBe('2026-11-22');
  });

  it('follows summer time', () => {
    // New York: UTC-5 until 2026-03-08 02:00, then UTC-4 until 2026-11-01 02:00
    expect(dayOf('America/New_York', '2026-03-08T04:59:59.999Z')).toBe('2026-03-07');
    expect(dayOf('America/New_York', '2026-03-08T05:00:00.000Z')).toBe('2026-03-08');
    expect(dayOf('America/New_York', '2026-03-09T03:59:59.999Z')).toBe('2026-03-08');
    expect(dayOf('America/New_York', '2026-03-09T04:00:00.000Z')).toBe('2026-03-09');
    expect(dayOf('America/New_York', '2026-11-02T04:59:59.999Z')).toBe('2026-11-01');
    expect(dayOf('America/New_York', '2026-11-02T05:00:00.000Z')).toBe('2026-11-02');
  });

  it('is right where summer time begins at midnight, which then does not exist', () => {
    // Cairo 2024-04-26: 00:00 became 01:00 (UTC+2 to UTC+3)
    expect(dayOf('Africa/Cairo', '2024-04-25T21:59:59.999Z')).toBe('2024-04-25');
    expect(dayOf('Africa/Cairo', '2024-04-25T22:00:00.000Z')).toBe('2024-04-26');
  });

  it('is right for zones off the hour and beyond the date line', () => {
    expect(dayOf('Asia/Kathmandu', '2026-01-01T18:14:59.999Z')).toBe('2026-01-01');
    expect(dayOf('Asia/Kathmandu', '2026-01-01T18:15:00.000Z')).toBe('2026-01-02');
    expect(dayOf('Pacific/Kiritimati', '2026-01-01T10:00:00.000Z')).toBe('2026-01-02');
    expect(dayOf('Pacific/Apia', '2011-12-30T09:59:59.999Z')).toBe('2011-12-29');
    expect(dayOf('Pacific/Apia', '2011-12-30T10:00:00.000Z')).toBe('2011-12-31');
  });

  it('refuses a zone that does not exist', () => {
    expect(() => daysIn('Asia/Soul')).toThrow(RangeError);
  });
});

describe('calendar days', () => {
  it('are counted over months, years and leap days', () => {
    expect(addDays('2026-12-31', 1)).toBe('2027-01-01');
    expect(addDays('2028-03-01', -1)).toBe('2028-02-29');
    expect(addDays('2026-11-21', -9)).toBe('2026-11-12');
  });

  it('are told from what only looks like one', () => {
    expect(isDay('2028-02-29')).toBe(true);
    for (const text of ['2026-02-29', '2026-02-30', '2026-13-01', '2026-00-10', '26-01-01', '2026-1-1', '', 'today']) {
      expect(isDay(text)).toBe(false);
    }
  });

  it('are kept from the oldest to tomorrow', () => {
    const days = keptDays('2026-03-02', 3);
    expect(days).toEqual(['2026-02-28', '2026-03-01', '2026-03-02', '2026-03-03']);
  });
});

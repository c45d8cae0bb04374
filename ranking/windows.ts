import { addDays, type Day, type Days, hourMs } from './days.ts';

/** How far back a list reaches from the moment of its reading. */
export const windowNames = ['hour', 'day', 'week', 'month'] as const;
export type WindowName = (typeof windowNames)[number];

/** Moving windows: `day` is the last 24 hours, not a calendar day. */
export const windowMs: Readonly<Record<WindowName, number>> = {
  hour: hourMs,
  day: 24 * hourMs,
  week: 7 * 24 * hourMs,
  month: 30 * 24 * hourMs,
};

/** So many days have to be kept for the longest window: it touches 32 where summer time begins within it. */
const longestWindowDays = 32;

/** For how many days lists are kept, where those of `hotDays` days can be asked for. */
export function daysToKeep(hotDays: number): number {
  return Math.max(hotDays, longestWindowDays);
}

/** Articles that lie together in the store, best first: those of a day, or only those of one hour of it. */
export interface Bucket {
  day: Day;
  /** Since 1970; null: the whole day. */
  hour: number | null;
  /** Articles that were made before this are not meant, ms since 1970. */
  fromMs: number;
  /** No article in it is younger, ms since 1970. */
  toMs: number;
}

/** What a list is of: a calendar day, or a window that ends now. */
export type ListOf = { day: Day } | { window: WindowName };

/** A producer's clock may be ahead: what it made is shown at once all the same. */
const graceMs = hourMs;
/** Days that ended longer ago are one bucket also where buckets have to be short. */
const shortForMs = 24 * hourMs;

/**
 * The buckets that together hold a list's articles, each article in one of them. `short`: the recent ones have an hour at
 * most, so that the articles of one bucket are of about the same age.
 */
export function bucketsOf(of: ListOf, nowMs: number, days: Days, short = false): Bucket[] {
  const fromMs = 'day' in of ? Number.NEGATIVE_INFINITY : nowMs - windowMs[of.window];
  const first = 'day' in of ? of.day : days.dayOf(new Date(fromMs));
  const last = 'day' in of ? of.day : days.dayOf(new Date(nowMs + graceMs));
  const buckets: Bucket[] = [];
  for (let day = first; day <= last; day = addDays(day, 1)) {
    const hours = days.hoursOf(day);
    const endMs = (hours.at(-1)! + 1) * hourMs;
    const beginsInside = hours[0]! * hourMs >= fromMs;
    if (beginsInside && (!short || endMs < nowMs - shortForMs)) {
      buckets.push({ day, hour: null, fromMs, toMs: endMs });
      continue;
    }
    for (const hour of hours) {
      const toMs = (hour + 1) * hourMs;
      if ('day' in of || (toMs > fromMs && hour * hourMs <= nowMs + graceMs)) buckets.push({ day, hour, fromMs, toMs });
    }
  }
  return buckets;
}

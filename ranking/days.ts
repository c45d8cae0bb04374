/** A calendar day as `YYYY-MM-DD`. Days compare and sort as text. */
export type Day = string;

export const hourMs = 3_600_000;

/** Days in one time zone. */
export interface Days {
  readonly timeZone: string;
  /** The day on which this moment falls there. */
  dayOf(moment: Date): Day;
  /** The hours since 1970 that touch this day, in order; one in which midnight falls touches two days. */
  hoursOf(day: Day): readonly number[];
}

/** Zones reach from UTC-12 to UTC+14. */
const hoursBefore = 15;
const hoursAfter = 13;
const rememberedDays = 100;
const rememberedHours = 2000;

/** Throws a `RangeError` for an unknown time zone. Offsets and their changes come from the IANA data of `Intl`. */
export function daysIn(timeZone: string): Days {
  const format = new Intl.DateTimeFormat('en-u-ca-gregory-nu-latn', {
    timeZone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  });
  const remembered = new Map<Day, readonly number[]>();

  const wholeHours = new Map<number, Day>();

  const formatted = (moment: Date): Day => {
    let year = '';
    let month = '';
    let day = '';
    for (const part of format.formatToParts(moment)) {
      if (part.type === 'year') year = part.value;
      else if (part.type === 'month') month = part.value;
      else if (part.type === 'day') day = part.value;
    }
    return `${year.padStart(4, '0')}-${month}-${day}`;
  };

  /** Formatting takes microseconds, and a rebuild asks for each article: an hour without a midnight is formatted once. */
  const dayOf = (moment: Date): Day => {
    const hour = Math.floor(moment.getTime() / hourMs);
    const known = wholeHours.get(hour);
    if (known !== undefined) return known;
    const first = formatted(new Date(hour * hourMs));
    if (first !== formatted(new Date((hour + 1) * hourMs - 1))) return formatted(moment);
    if (wholeHours.size >= rememberedHours) wholeHours.clear();
    wholeHours.set(hour, first);
    return first;
  };

  const hoursOf = (day: Day): readonly number[] => {
    const known = remembered.get(day);
    if (known !== undefined) return known;
    const midnight = Date.parse(`${day}T00:00:00Z`) / hourMs;
    const hours: number[] = [];
    for (let hour = midnight - hoursBefore; hour < midnight + 24 + hoursAfter; hour++) {
      const touches = [hour * hourMs, (hour + 1) * hourMs - 1].some((ms) => dayOf(new Date(ms)) === day);
      if (touches) hours.push(hour);
    }
    if (remembered.size >= rememberedDays) remembered.clear();
    remembered.set(day, hours);
    return hours;
  };

  return { timeZone, dayOf, hoursOf };
}

/** The day `count` days later (or earlier, below 0). Calendar days: no time zone is involved. */
export function addDays(day: Day, count: number): Day {
  const moment = new Date(`${day}T00:00:00Z`);
  moment.setUTCDate(moment.getUTCDate() + count);
  return moment.toISOString().slice(0, 10);
}

/** Whether this is a day of the calendar: `2026-02-30` is not. */
export function isDay(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const moment = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(moment.getTime()) && moment.toISOString().slice(0, 10) === text;
}

/**
 * The days whose lists are kept, oldest first: today, those before it, and tomorrow, because a producer's clock may be
 * over midnight before ours is.
 */
export function keptDays(today: Day, hotDays: number): Day[] {
  return Array.from({ length: hotDays + 1 }, (_, index) => addDays(today, index - hotDays + 1));
}

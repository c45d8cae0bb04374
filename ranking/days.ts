/** A calendar day as `YYYY-MM-DD`. Days compare and sort as text. */
export type Day = string;

/** Days in one time zone. */
export interface Days {
  readonly timeZone: string;
  /** The day on which this moment falls there. */
  dayOf(moment: Date): Day;
}

/** Throws a `RangeError` for an unknown time zone. Offsets and their changes come from the IANA data of `Intl`. */
export function daysIn(timeZone: string): Days {
  const format = new Intl.DateTimeFormat('en-u-ca-gregory-nu-latn', {
    timeZone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  });
  return {
    timeZone,
    dayOf(moment) {
      let year = '';
      let month = '';
      let day = '';
      for (const part of format.formatToParts(moment)) {
        if (part.type === 'year') year = part.value;
        else if (part.type === 'month') month = part.value;
        else if (part.type === 'day') day = part.value;
      }
      return `${year.padStart(4, '0')}-${month}-${day}`;
    },
  };
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

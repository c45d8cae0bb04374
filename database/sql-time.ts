/** UTC, as DATETIME(3) takes it. */
export function sqlTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 23).replace('T', ' ');
}

/** Ms since 1970 of a UTC time as MySQL writes it. */
export function msOf(sqlTime: string): number {
  return Date.parse(`${sqlTime.replace(' ', 'T')}Z`);
}

/**
 * A 64-bit number that goes into a statement as it is: as a parameter it would be text, and MySQL compares text with numbers
 * as doubles. Throws a `TypeError` for anything but digits.
 */
export function digits(id: string): string {
  if (!/^[0-9]{1,20}$/.test(id)) throw new TypeError(`not a row id: ${JSON.stringify(id)}`);
  return id;
}

import { describe, expect, it } from '@jest/globals';
import { InFlight } from './in-flight.ts';

describe('a row in flight', () => {
  it('stays until a read ends that began after its delete was committed', () => {
    const inFlight = new InFlight();
    inFlight.add(['1']);
    const older = inFlight.beginRead();
    inFlight.deleted(['1']);
    expect(inFlight.has('1')).toBe(true);
    inFlight.endRead(older);
    expect(inFlight.has('1')).toBe(true);
    inFlight.endRead(inFlight.beginRead());
    expect(inFlight.has('1')).toBe(false);
  });
});

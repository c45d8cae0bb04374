import { describe, expect, it } from '@jest/globals';
import { PacketAges } from './packet-age.ts';

describe('age of packets', () => {
  it('does not care how far the clocks are apart', () => {
    for (const skewMs of [0, 3_600_000, -3_600_000]) {
      const ages = new PacketAges();
      expect(ages.ageMs('a', 1_000_000 + skewMs, 1_000_005)).toBe(0);
      expect(ages.ageMs('a', 1_001_000 + skewMs, 1_001_002)).toBe(0);
      expect(ages.ageMs('a', 1_002_000 + skewMs, 1_002_502)).toBe(500);
    }
  });

  it('knows after an outage that the first packets are old ones', () => {
    const ages = new PacketAges(60_000);
    ages.ageMs('a', 0, 5);
    const outageMs = 600_000;
    expect(ages.ageMs('a', 1_000, outageMs)).toBe(outageMs - 1_005);
    expect(ages.ageMs('a', 2_000, outageMs)).toBe(outageMs - 2_005);
    expect(ages.ageMs('a', outageMs, outageMs + 6)).toBe(1);
  });

  it('gets used to a clock that was set back, within two windows', () => {
    const ages = new PacketAges(60_000);
    const setBackMs = 30_000;
    let age = 0;
    for (let now = 0; now <= 300_000; now += 5_000) {
      const sent = now >= 100_000 ? now - setBackMs : now;
      age = ages.ageMs('a', sent, now);
      if (now < 100_000) expect(age).toBe(0);
      if (now === 100_000) expect(age).toBe(setBackMs);
    }
    expect(age).toBe(0);
  });

  it('takes senders one by one', () => {
    const ages = new PacketAges();
    ages.ageMs('a', 0, 10);
    expect(ages.ageMs('b', 0, 100_000)).toBe(0);
    expect(ages.ageMs('a', 0, 100)).toBe(90);
  });
});

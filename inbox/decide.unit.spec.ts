import { describe, expect, it } from '@jest/globals';
import { alarmOf, type Decision, decide, hasPassed } from './decide.ts';
import type { InboxMode } from './types.ts';

const here = 'aaaaaaaa-0000-4000-8000-000000000001';
const other = '11111111-0000-4000-8000-000000000002';
const watermark = { incarnation: here, version: 5n, occurredAtMs: 5000 };

interface Case {
  version: bigint;
  seen?: boolean;
  incarnation?: string;
  atMs?: number;
  state: Decision;
  sequence: Decision;
  alarm: ReturnType<typeof alarmOf>;
}

const cases: [string, Case][] = [
  ['the next version', { version: 6n, state: 'applied', sequence: 'applied', alarm: null }],
  ['a version further on', { version: 9n, state: 'applied', sequence: 'gap', alarm: null }],
  ['a known id', { version: 5n, seen: true, state: 'duplicate', sequence: 'duplicate', alarm: null }],
  [
    'a known id whose version has not passed',
    { version: 6n, seen: true, state: 'duplicate', sequence: 'duplicate', alarm: 'seen-above-watermark' },
  ],
  [
    'an unknown id at the watermark',
    { version: 5n, state: 'stale', sequence: 'stale', alarm: 'unseen-below-watermark' },
  ],
  [
    'an unknown id below the watermark',
    { version: 1n, state: 'stale', sequence: 'stale', alarm: 'unseen-below-watermark' },
  ],
  [
    'the first version of a later incarnation',
    {
      version: 1n,
      incarnation: other,
      atMs: 9000,
      state: 'applied',
      sequence: 'applied',
      alarm: 'incarnation-changed',
    },
  ],
  [
    'a further version of a later incarnation',
    { version: 7n, incarnation: other, atMs: 9000, state: 'applied', sequence: 'gap', alarm: 'incarnation-changed' },
  ],
  [
    'a version of an earlier incarnation, however high',
    { version: 99n, incarnation: other, atMs: 4000, state: 'stale', sequence: 'stale', alarm: 'old-incarnation' },
  ],
  [
    'a known id of an earlier incarnation',
    {
      version: 99n,
      seen: true,
      incarnation: other,
      atMs: 4000,
      state: 'duplicate',
      sequence: 'duplicate',
      alarm: null,
    },
  ],
];

describe('the decision about an event', () => {
  it.each(cases)('%s', (_name, { version, seen = false, incarnation = here, atMs = 6000, alarm, ...expected }) => {
    const event = { version, seen, incarnation, occurredAt: new Date(atMs) };
    for (const mode of ['state', 'sequence'] satisfies InboxMode[]) {
      const decision = decide(watermark, event, mode);
      expect({ mode, decision }).toEqual({ mode, decision: expected[mode] });
      expect(alarmOf(watermark, event, decision)).toBe(alarm);
      if (decision === 'applied' || decision === 'gap') expect(hasPassed(watermark, event)).toBe(false);
      if (decision === 'stale') expect(hasPassed(watermark, event)).toBe(true);
    }
  });

  it('applies the first version to a stream that is new, without an alarm', () => {
    const fresh = { incarnation: here, version: 0n, occurredAtMs: 1000 };
    const event = { version: 1n, seen: false, incarnation: here, occurredAt: new Date(1000) };
    expect(decide(fresh, event, 'sequence')).toBe('applied');
    expect(decide(fresh, { ...event, version: 3n }, 'state')).toBe('applied');
    expect(decide(fresh, { ...event, version: 3n }, 'sequence')).toBe('gap');
    expect(alarmOf(fresh, event, 'applied')).toBeNull();
  });
});

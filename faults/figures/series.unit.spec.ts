import { describe, expect, it } from '@jest/globals';
import { boundsOf, type EventTimes, impactOf, seriesOf } from './series.ts';

const window = { fromMs: 0, toMs: 20_000, stepMs: 250 };

/** An event each 100 ms, sent after 20 ms and applied after 50 ms, unless `until` says that nothing was done before a time. */
function events(until: { fromMs: number; toMs: number } | null): EventTimes[] {
  return Array.from({ length: 200 }, (_, index) => {
    const committedMs = index * 100;
    const stuck = until !== null && committedMs >= until.fromMs && committedMs < until.toMs;
    const startMs = stuck ? until.toMs : committedMs;
    return { committedMs, sentMs: startMs + 20, appliedMs: startMs + 50 };
  });
}
const calls = (notOkAtMs: number[] = [], silentMs: [number, number] = [-1, -1]) => [
  ...Array.from({ length: 400 }, (_, index) => ({ answeredMs: index * 50 + 1, ok: true, failed: false })).filter(
    ({ answeredMs }) => answeredMs < silentMs[0] || answeredMs > silentMs[1],
  ),
  ...notOkAtMs.map((answeredMs) => ({ answeredMs, ok: false, failed: true })),
];
const bounds = boundsOf(seriesOf(events(null), calls(), window));

describe('the time series of a run', () => {
  it('counts what waits at each moment, how long the oldest has, and answers by the second', () => {
    const samples = seriesOf(events({ fromMs: 1_000, toMs: 4_000 }), calls(), window);
    const at = (ms: number) => samples.find(({ atMs }) => atMs === ms)!;
    expect(at(500)).toMatchObject({ okPerSecond: 20, notOk: 0, lag: 1, oldestUnsentMs: 0 });
    expect(at(3_000)).toMatchObject({ backlog: 21, oldestUnsentMs: 2_000, lag: 21, oldestUnappliedMs: 2_000 });
    expect(at(4_500)).toMatchObject({ lag: 1 });
  });

  it('counts events that were never sent to the end', () => {
    const lost = [{ committedMs: 1_000, sentMs: null, appliedMs: null }];
    expect(seriesOf(lost, [], window).at(-1)).toMatchObject({ backlog: 1, lag: 1, oldestUnappliedMs: 19_000 });
  });
});

describe('the impact of a fault', () => {
  const slot = { fromMs: 5_000, toMs: 18_000 };
  const impact = (times: EventTimes[], answers = calls()) => impactOf(seriesOf(times, answers, window), bounds, slot);

  it('is nothing where all figures stay as in the baseline', () => {
    expect(impact(events(null))).toEqual({ detectMs: null, recoverMs: 0, inFlight: 1 });
  });

  it('is noticed by the age of what waits, and over when all of it is done', () => {
    const { detectMs, recoverMs, inFlight } = impact(events({ fromMs: 5_000, toMs: 9_000 }));
    expect(detectMs).toBeGreaterThan(2_000);
    expect(detectMs).toBeLessThan(2_500);
    expect(recoverMs).toBe(4_250);
    expect(inFlight).toBe(41);
  });

  it('is noticed by answers that fail and by answers that stay away', () => {
    expect(impact(events(null), calls([6_100])).detectMs).toBe(1_250);
    const silent = impact(events(null), calls([], [6_000, 9_000]));
    expect(silent.detectMs).toBeGreaterThan(1_000);
    expect(silent.recoverMs).toBeGreaterThan(4_000);
  });

  it('is not over while it came back within the last seconds of the slot', () => {
    expect(impact(events({ fromMs: 5_000, toMs: 17_500 })).recoverMs).toBeNull();
    expect(impact(events({ fromMs: 5_000, toMs: 30_000 })).recoverMs).toBeNull();
  });
});

import { describe, expect, it } from '@jest/globals';
import { overlapMs, pathsOf, slowest, stageTable } from './stages.ts';
import type { RelayTrace } from './trace.ts';

const none: RelayTrace = {
  nudgedMs: [],
  reads: [],
  sends: [],
  deletes: [],
  requests: [],
  pauses: { gc: [], late: [], noCore: [] },
};
const read = (fromMs: number, toMs: number, ...eventIds: string[]) => ({ fromMs, toMs, rows: 1, eventIds });
const send = (fromMs: number, toMs: number, ...eventIds: string[]) => ({ fromMs, toMs, eventIds });

describe('the stages of an event', () => {
  it('are the times between commit, nudge, read, and acknowledgement, and together all of it', () => {
    const trace = { ...none, nudgedMs: [101], reads: [read(103, 107, 'a')], sends: [send(108, 118, 'a')] };
    const [path] = pathsOf([{ eventId: 'a', bucket: 3, committedMs: 100 }], trace);
    expect(path!.ms).toEqual({ nudge: 1, 'wait for a read': 2, read: 4, 'make the batch': 1, send: 10 });
    expect(path!.acknowledgedMs - path!.committedMs).toBe(18);
  });

  it('begin where a read that had it before its nudge, or before the answer to COMMIT, has brought it', () => {
    const trace = { ...none, nudgedMs: [112], reads: [read(95, 104, 'a')], sends: [send(105, 110, 'a')] };
    const [path] = pathsOf([{ eventId: 'a', bucket: 3, committedMs: 100 }], trace);
    expect(path!.ms).toEqual({ nudge: 0, 'wait for a read': 0, read: 4, 'make the batch': 1, send: 5 });
  });

  it('take the first acknowledgement, and leave out what has none', () => {
    const trace = {
      ...none,
      nudgedMs: [1, 2],
      reads: [read(2, 3, 'a', 'b')],
      sends: [send(3, 5, 'a'), send(6, 9, 'a')],
    };
    const paths = pathsOf(
      [
        { eventId: 'a', bucket: 1, committedMs: 0 },
        { eventId: 'b', bucket: 1, committedMs: 1 },
      ],
      trace,
    );
    expect(paths.map(({ acknowledgedMs }) => acknowledgedMs)).toEqual([5]);
  });

  it('say which one holds the time of the slowest', () => {
    const slow = Array.from({ length: 100 }, (_, at) => `${at}`);
    const trace = {
      ...none,
      nudgedMs: slow.map(() => 1),
      reads: [read(1, 2, ...slow)],
      sends: slow.map((id, at) => send(2, 10 + at, id)),
    };
    const paths = pathsOf(
      slow.map((eventId) => ({ eventId, bucket: 1, committedMs: 0 })),
      trace,
    );
    expect(slowest(paths).map(({ acknowledgedMs }) => acknowledgedMs)).toEqual([109]);
    expect(stageTable(paths).find(({ stage }) => stage === 'send')).toMatchObject({
      max: 107,
      'is the largest in %': 100,
    });
  });
});

describe('overlapMs', () => {
  it('counts what several spans cover once', () => {
    const spans = [
      { fromMs: 0, toMs: 4 },
      { fromMs: 3, toMs: 6 },
      { fromMs: 4, toMs: 5 },
      { fromMs: 9, toMs: 20 },
    ];
    expect(overlapMs(spans, { fromMs: 2, toMs: 10 })).toBe(5);
    expect(overlapMs([], { fromMs: 2, toMs: 10 })).toBe(0);
  });
});

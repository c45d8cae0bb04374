import { describe, expect, it } from '@jest/globals';
import type { CallRecord } from '../load/calls.ts';
import type { ConsumedEntry, LedgerEntry, Observed } from '../truth/read.ts';
import type { Evidence } from './histories.ts';
import { verify } from './verify.ts';

const id = (version: number) => `00000000-0000-7000-8000-00000000000${version}`;
const like = (version: number): LedgerEntry => ({
  process: 'edge-1',
  atMs: version * 100,
  source: 'like',
  event: id(version),
  outboxId: String(version),
  aggregate: '9',
  version,
  type: 'ArticleLiked',
  payload: { articleId: '9', userId: `${version}` },
});
const call = (number: number, change: Partial<CallRecord> = {}): CallRecord => ({
  number,
  kind: 'like',
  articleId: '9',
  userId: `${number}`,
  invokedMs: number * 100 - 5,
  answeredMs: number * 100 + 5,
  outcome: 'ok',
  answer: '200',
  token: [['like', '9', number]],
  gateway: 'a',
  ...change,
});
const row = (
  atMs: number,
  consumer: string,
  kind: ConsumedEntry['kind'],
  more: Partial<ConsumedEntry>,
): ConsumedEntry => ({
  process: `${consumer}-1`,
  atMs,
  consumer,
  kind,
  event: null,
  source: null,
  aggregate: null,
  version: null,
  partition: null,
  offset: null,
  ...more,
});
const both = ['auditor', 'hot-article'];

/** Two likes of one article, all the way. */
const observed: Observed = {
  ledger: [like(1), like(2)],
  marks: [1, 2].map((n) => ({
    process: 'relay-1',
    atMs: n * 100 + 40,
    source: 'like',
    outboxId: String(n),
    bucket: 0,
  })),
  leases: [{ process: 'relay-1', atMs: 50, source: 'like', bucket: 0, owner: 'r1', epoch: 1, early: false }],
  stored: [1, 2].map((n) => ({
    atMs: n * 100 + 20,
    source: 'like',
    partition: 3,
    offset: n - 1,
    event: id(n),
    aggregate: '9',
    version: n,
  })),
  consumed: both.flatMap((consumer) =>
    [1, 2].flatMap((n) => [
      row(n * 100 + 50, consumer, 'recorded', { event: id(n) }),
      row(n * 100 + 51, consumer, 'watermark', { source: 'like', aggregate: '9', version: n }),
      row(n * 100 + 52, consumer, 'offset', { source: 'like', partition: 3, offset: n }),
    ]),
  ),
  effects: both.flatMap((consumer) =>
    [1, 2].map((n) => ({
      process: `${consumer}-1`,
      atMs: n * 100 + 50,
      consumer,
      source: 'like',
      event: consumer === 'auditor' ? id(n) : null,
      aggregate: '9',
      version: n,
    })),
  ),
  domainChanges: new Map([['like 9', 2]]),
  flushedViews: new Map(),
  unsent: [],
  parked: [],
  totals: [{ source: 'like', aggregate: '9', version: 2, applied: 2, sum: 3 }],
  hotVersions: [{ source: 'like', aggregate: '9', version: 2 }],
  positions: both.map((consumer) => ({ consumer, source: 'like', partition: 3, stored: 2, end: 2 })),
};
const good: Evidence = {
  observed,
  calls: [call(1), call(2)],
  kafkaOffsets: [{ atMs: 300, consumer: 'auditor', source: 'like', partition: 3, offset: 2 }],
  outages: [],
  recounts: [],
  redis: [],
};
const kinds = (evidence: Evidence) => [...new Set(verify(evidence).map(({ what }) => what))];
const seen = (change: Partial<Observed>): Evidence => ({ ...good, observed: { ...observed, ...change } });

describe('what a real board leaves behind', () => {
  it('is good where each change went all the way', () => {
    expect(verify(good)).toEqual([]);
  });

  it('is good where the hot list took only the newer of two events', () => {
    const effects = observed.effects.filter(({ consumer, version }) => consumer === 'auditor' || version === 2);
    expect(verify(seen({ effects }))).toEqual([]);
  });

  const auditor = (versions: number[]) => [
    ...versions.map((version) => ({ ...observed.effects[0]!, event: id(version), version })),
    ...observed.effects.filter(({ consumer }) => consumer === 'hot-article'),
  ];
  const bad: [string, string, Evidence][] = [
    ['a lost event', 'no loss', seen({ stored: observed.stored.slice(0, 1) })],
    ['two effects of one event', 'once', seen({ effects: auditor([1, 2, 2]) })],
    ['effects out of order', 'order', seen({ effects: auditor([2, 1]) })],
    [
      'an effect of nothing that was committed',
      'no phantom',
      seen({ effects: [...observed.effects, { ...observed.effects[2]!, version: 7 }] }),
    ],
    [
      'a row that was deleted before its event was in the topic',
      'marks are acknowledged',
      seen({ marks: observed.marks.map((mark) => ({ ...mark, atMs: mark.atMs - 30 })) }),
    ],
    [
      'a bucket that was taken too early',
      'one holder',
      seen({
        leases: [...observed.leases, { ...observed.leases[0]!, process: 'relay-2', epoch: 2, atMs: 60, early: true }],
      }),
    ],
    [
      'an offset in Kafka before its event was applied',
      'offsets are safe',
      { ...good, kafkaOffsets: [{ atMs: 240, consumer: 'auditor', source: 'like', partition: 3, offset: 2 }] },
    ],
    [
      'a sum that lacks an event',
      'projection equals recount',
      seen({ totals: [{ ...observed.totals[0]!, applied: 1 }] }),
    ],
    [
      'a hot list that is older',
      'projection equals recount',
      seen({ hotVersions: [{ ...observed.hotVersions[0]!, version: 1 }] }),
    ],
    [
      'a gateway that shows another list than a recount',
      'projection equals recount',
      { ...good, recounts: [{ name: 'list', shown: [1], counted: [2] }] },
    ],
    [
      'Redis unlike a rebuild',
      'redis equals rebuild',
      { ...good, redis: [{ name: 'today', shown: [1], counted: [2] }] },
    ],
    ['an event that still waits', 'progress', seen({ unsent: [{ source: 'like', outboxId: '2' }] })],
    ['a change without an event', 'one event for each change', seen({ domainChanges: new Map([['like 9', 3]]) })],
    ['an event without a change', 'one event for each change', seen({ domainChanges: new Map([['like 9', 1]]) })],
    ['views without an event', 'views add up', seen({ flushedViews: new Map([['9', 4]]) })],
    ['an ok that is not committed', 'ok is committed', { ...good, calls: [call(1), call(2), call(3)] }],
    ['a refusal that was committed', 'known outcome', { ...good, calls: [call(1), call(2, { outcome: 'fail' })] }],
    [
      'a call that took effect twice',
      'a call takes effect once',
      seen({ ledger: [like(1), { ...like(2), payload: { articleId: '9', userId: '1' } }] }),
    ],
    [
      'a token with another version',
      'the token names the version',
      { ...good, calls: [call(1), call(2, { token: [['like', '9', 1]] })] },
    ],
  ];
  it.each(bad)('is bad with %s', (_what, kind, evidence) => {
    expect(kinds(evidence)).toContain(kind);
  });
});

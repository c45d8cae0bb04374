import { describe, expect, it } from '@jest/globals';
import { type CheckOptions, check, type Invariant, invariants } from './checker.ts';
import { type FinalState, type Happening, merged } from './history.ts';

const options: CheckOptions = { mode: 'sequence', minimumOk: 2, minimumFaults: 1, maximumInfoShare: 0.4 };

const at = <Each extends object>(process: string, happening: Each) =>
  ({ atMs: 0, process, ...happening }) as unknown as Happening;
const client = (op: string, call: number, version?: number) =>
  at('client', { kind: 'client', op, call, aggregate: 'a', ...(version ? { event: `a${version}`, version } : {}) });
const elected = (process: string, epoch: number) => at(process, { kind: 'relay', op: 'elected', bucket: 0, epoch });
const relay = (op: string, process: string, epoch: number, ...events: string[]) =>
  at(process, { kind: 'relay', op, bucket: 0, epoch, events });
const stored = (version: number, offset: number, event = `a${version}`) =>
  at('broker', { kind: 'broker', op: 'stored', partition: 0, offset, event, aggregate: 'a', version });
const decided = (op: string, version: number) =>
  at('consumer', { kind: 'consumer', op, event: `a${version}`, aggregate: 'a', version });
const offset = (value: number, store = 'inbox') =>
  at('consumer', { kind: 'consumer', op: 'offset', store, partition: 0, offset: value });
const watermark = (version: number) => at('consumer', { kind: 'consumer', op: 'watermark', aggregate: 'a', version });
const faultEnd = at('', { kind: 'fault', op: 'end', fault: 'relay killed', number: 1, hits: 1 });
const fence = (epoch: number) => at('broker', { kind: 'fence', op: 'raised', bucket: 0, epoch });
const inTerm = (epoch: number, happening: Happening) => ({ ...happening, bucket: 0, epoch }) as Happening;
const health = (part: string, healthy: number, of: number) =>
  at('', { kind: 'health', op: 'changed', part, healthy, of });
const later = (atMs: number, happening: Happening) => ({ ...happening, atMs });
const row = (version: number) => ({ event: `a${version}`, aggregate: 'a', version });

const good: readonly Happening[] = [
  client('invoke', 1),
  client('ok', 1, 1),
  client('ok', 2, 2),
  client('fail', 3),
  elected('relay-1', 1),
  relay('send', 'relay-1', 1, 'a1', 'a2'),
  stored(1, 0),
  stored(2, 1),
  faultEnd,
  elected('relay-2', 2),
  relay('send', 'relay-2', 2, 'a1', 'a2'),
  stored(1, 2),
  stored(2, 3),
  relay('ack', 'relay-2', 2, 'a1', 'a2'),
  relay('mark', 'relay-2', 2, 'a1', 'a2'),
  decided('applied', 1),
  decided('applied', 2),
  watermark(2),
  offset(4),
  offset(4, 'kafka'),
];
const final: FinalState = {
  ledger: [row(1), row(2)],
  unsent: [],
  effects: [row(1), row(2)],
  parked: [],
  deadLetters: [],
  projection: [{ aggregate: 'a', version: 2, applied: 2, sum: 3 }],
  positions: [{ partition: 0, stored: 4, end: 4 }],
};

/** The good history with one part replaced. */
function replaced(part: Happening, ...by: Happening[]): Happening[] {
  const place = good.findIndex((each) => JSON.stringify(each) === JSON.stringify(part));
  if (place < 0) throw new Error(`not in the history: ${JSON.stringify(part)}`);
  return [...good.slice(0, place), ...by, ...good.slice(place + 1)];
}

const found = (history: readonly Happening[], state: Partial<FinalState> = {}, how: Partial<CheckOptions> = {}) => [
  ...new Set(check(history, { ...final, ...state }, { ...options, ...how }).map(({ invariant }) => invariant)),
];

describe('the checker', () => {
  it('finds nothing in a good history, with an event twice in the topic', () => {
    expect(check(good, final, options)).toEqual([]);
  });

  it('accepts what is allowed: unknown outcomes, dead letters, stale events in a state consumer, out-of-turn copies', () => {
    expect(
      found(replaced(client('ok', 2, 2), client('info', 2, 2)), {}, { minimumOk: 1, maximumInfoShare: 0.5 }),
    ).toEqual([]);
    const dead = at('consumer', { kind: 'consumer', op: 'dead', partition: 0, offset: 1, event: 'a2' });
    const lastDead = replaced(decided('applied', 2), dead).filter((each) => each !== undefined);
    const history = lastDead.map((each) => (each.kind === 'consumer' && each.op === 'watermark' ? watermark(1) : each));
    const secondDead = at('consumer', { kind: 'consumer', op: 'dead', partition: 0, offset: 3, event: 'a2' });
    const projection = [{ aggregate: 'a', version: 1, applied: 1, sum: 1 }];
    expect(
      found([...history.slice(0, -2), secondDead, offset(4)], { effects: [row(1)], deadLetters: ['a2'], projection }),
    ).toEqual([]);
    const newest = [{ aggregate: 'a', version: 2, applied: 1, sum: 2 }];
    expect(
      found(
        replaced(decided('applied', 1), decided('stale', 1)),
        { effects: [row(2)], projection: newest },
        { mode: 'state' },
      ),
    ).toEqual([]);
    const without2 = good.filter((each) => each.kind !== 'broker' || each.version !== 2);
    const onlyFirst = { effects: [row(1)], projection: [{ aggregate: 'a', version: 1, applied: 1, sum: 1 }] };
    const unsent2 = without2.filter((each) => each.kind !== 'consumer' || each.op !== 'offset');
    expect(found(unsent2, { ...onlyFirst, skipped: ['a2'], positions: [] })).toEqual([]);
    expect(found(unsent2, { ...onlyFirst, withheld: ['a2'], positions: [] })).toEqual([]);
    const early = { ...stored(2, 0), foreign: true } as Happening;
    expect(found([early, ...good.filter(({ kind }) => kind !== 'consumer')], { positions: [] })).toEqual([]);
  });

  it('accepts what exactly-once leaves behind: offsets without a message, and an older term before the fence', () => {
    const history = [
      client('ok', 1, 1),
      client('ok', 2, 2),
      fence(1),
      elected('relay-1', 1),
      inTerm(1, stored(1, 0)),
      elected('relay-2', 2),
      fence(2),
      inTerm(2, stored(2, 2)),
      ...good.filter(({ kind }) => kind === 'consumer' || kind === 'fault'),
    ];
    expect(found(history, {}, { delivery: 'exactly-once' })).toEqual([]);
    expect(found(history)).toEqual(['offsets are safe']);
  });

  it('counts time without progress only while most replicas of every part work', () => {
    const history = [
      later(0, client('ok', 1, 1)),
      later(0, client('ok', 2, 2)),
      later(900, health('relay', 1, 3)),
      later(5_000, health('relay', 2, 3)),
      later(5_900, stored(1, 0)),
      later(6_500, stored(2, 1)),
      ...good.filter(({ kind, op }) => kind === 'consumer' && op !== 'offset').map((each) => later(6_600, each)),
      later(6_800, offset(2)),
      later(20_000, faultEnd),
    ];
    const positions = [{ partition: 0, stored: 2, end: 2 }];
    expect(found(history, { positions }, { progressMs: 1_000 })).toEqual([]);
    expect(found(history, { positions }, { progressMs: 850 })).toEqual(['progress']);
  });

  it('keeps apart what two consumers did with one event, and buckets of two sources', () => {
    const both = ['a', 'b'].flatMap((consumer) => [
      { ...row(1), consumer },
      { ...row(2), consumer },
    ]);
    const { projection: _, ...rest } = final;
    expect(check(good, { ...rest, effects: both }, options)).toEqual([]);
    expect(check(good, { ...rest, effects: both.slice(0, 3) }, options).map(({ invariant }) => invariant)).toEqual([
      'no loss',
    ]);
    const other = { ...elected('relay-9', 1), source: 'other' } as Happening;
    expect(found([...good, other])).toEqual([]);
  });

  it('brings the lines of several processes into one order, and leaves out a line that a kill tore off', () => {
    const lines = (...list: Happening[]) => list.map((each) => `${JSON.stringify(each)}\n`).join('');
    const first = lines(later(1, good[0]!), later(4, good[1]!));
    const second = `${lines(later(2, good[2]!))}{"atMs":9,"proc`;
    expect(merged([first, second]).map(({ atMs }) => atMs)).toEqual([1, 2, 4]);
    expect(() => merged([`broken\n${first}`])).toThrow('not a line of a history');
  });

  const bad: [Invariant, string, Happening[], Partial<FinalState>?, Partial<CheckOptions>?][] = [
    ['no loss', 'a row left without a message', good.filter((each) => !(each.kind === 'broker' && each.version === 2))],
    [
      'no loss',
      'a message that was read left no trace',
      replaced(decided('applied', 2)),
      { effects: [row(1)], projection: [{ aggregate: 'a', version: 1, applied: 1, sum: 1 }] },
    ],
    ['no phantom', 'something is in the topic that was rolled back', [...good, stored(1, 4, 'ghost')]],
    ['no phantom', 'something was sent that was rolled back', [...good, relay('send', 'relay-2', 2, 'ghost')]],
    [
      'no phantom',
      'something took effect that was rolled back',
      [...good],
      { effects: [...final.effects, { ...row(3), event: 'ghost' }] },
    ],
    ['known outcome', 'a client was told ok and nothing was committed', [...good, client('ok', 4, 9)]],
    ['known outcome', 'a client was told fail and it was committed', [...good, client('fail', 4, 1)]],
    ['once', 'an event has two effects', [...good], { effects: [row(1), row(2), row(2)] }],
    ['order', 'version 2 before version 1', [...good], { effects: [row(2), row(1)] }],
    ['order', 'a hole in a sequence', [...good], { effects: [row(2)] }],
    [
      'order',
      'an older one after a newer one in a state consumer',
      [...good],
      { effects: [row(2), row(1)] },
      { mode: 'state' },
    ],
    ['order in the topic', 'version 2 first', replaced(stored(1, 0), stored(2, 0))],
    [
      'marks are acknowledged',
      'a row was deleted before its acknowledgement',
      replaced(relay('ack', 'relay-2', 2, 'a1', 'a2'), relay('ack', 'relay-2', 2, 'a1')),
    ],
    [
      'marks are acknowledged',
      'somebody else had the acknowledgement',
      replaced(relay('mark', 'relay-2', 2, 'a1', 'a2'), relay('mark', 'relay-1', 1, 'a1', 'a2')),
    ],
    [
      'marks are acknowledged',
      'the database saw a row deleted before its event was in the topic',
      replaced(stored(2, 1), relay('deleted', 'relay-1', 1, 'a2'), stored(2, 1)),
    ],
    [
      'offsets are safe',
      'an offset was stored before the effects',
      replaced(decided('applied', 1), offset(1), decided('applied', 1)),
    ],
    [
      'offsets are safe',
      'the Kafka offset ran ahead',
      replaced(decided('applied', 2), offset(2, 'kafka'), decided('applied', 2)),
    ],
    ['offsets are safe', 'an offset beyond the end', [...good], { positions: [{ partition: 0, stored: 5, end: 4 }] }],
    ['versions are monotone', 'a watermark went back', [...good, watermark(1)]],
    ['versions are monotone', 'a committed version is missing', [...good], { ledger: [row(2)] }],
    [
      'projection equals recount',
      'an update got lost',
      [...good],
      { projection: [{ aggregate: 'a', version: 2, applied: 1, sum: 2 }] },
    ],
    [
      'projection equals recount',
      'an older state is shown',
      [...good],
      { projection: [{ aggregate: 'a', version: 1, applied: 2, sum: 3 }] },
    ],
    [
      'projection equals recount',
      'an article shows another count than its likes',
      [...good],
      { recounts: [{ name: 'article 7', shown: { likes: 2 }, counted: { likes: 3 } }] },
    ],
    [
      'redis equals rebuild',
      'an entry of Redis was not moved on',
      [...good],
      { redis: [{ name: 'today', shown: [['7', 3]], counted: [['7', 6]] }] },
    ],
    ['once in the topic', 'a batch was stored twice', [...good], {}, { delivery: 'exactly-once' }],
    [
      'stale epochs are rejected',
      'a fenced-out term still gets something into the topic',
      [fence(1), fence(2), ...replaced(stored(1, 2), inTerm(1, stored(1, 2)))],
    ],
    ['one holder', 'one term with two holders', replaced(elected('relay-2', 2), elected('relay-2', 1))],
    [
      'one holder',
      'a bucket was taken before the lease was over',
      replaced(elected('relay-2', 2), { ...elected('relay-2', 2), early: true } as Happening),
    ],
    ['one holder', 'a term that went back', [elected('relay-1', 5), ...good]],
    ['one holder', 'a former holder sends', [...good, relay('send', 'relay-1', 1, 'a1')]],
    ['one holder', 'somebody sends who was never elected', [relay('send', 'relay-3', 1, 'a1'), ...good]],
    ['progress', 'something still waits to be sent', [...good], { unsent: ['a2'] }],
    ['progress', 'something still waits parked', [...good], { parked: ['a2'] }],
    ['progress', 'a partition is not read to its end', [...good], { positions: [{ partition: 0, stored: 3, end: 4 }] }],
    [
      'progress',
      'nothing was sent for a second, and all replicas worked',
      [later(0, client('ok', 1, 1)), later(1_001, stored(1, 0))],
      {},
      { progressMs: 1_000 },
    ],
    [
      'progress',
      'a partition stood still for a second, although most consumers worked',
      [health('consumer', 2, 3), later(0, stored(1, 0)), later(0, client('ok', 1, 1)), later(1_001, offset(1))],
      {},
      { progressMs: 1_000 },
    ],
    [
      'not empty',
      'a fault did nothing',
      [...good, { ...faultEnd, hits: 0 } as Happening],
      {},
      { everyFaultFires: true },
    ],
    ['not empty', 'too few changes', [...good], {}, { minimumOk: 3 }],
    ['not empty', 'no fault did anything', replaced(faultEnd, { ...faultEnd, hits: 0 } as Happening)],
    ['not empty', 'most outcomes are unknown', [...good, client('info', 7), client('info', 8), client('info', 9)]],
  ];

  for (const [invariant, what, history, state, how] of bad) {
    it(`catches a break of "${invariant}": ${what}`, () => {
      expect(found(history, state, how)).toContain(invariant);
    });
  }

  it('has a bad history for every invariant', () => {
    expect(new Set(bad.map(([invariant]) => invariant))).toEqual(new Set(Object.keys(invariants)));
  });
});

import { Random } from '../sim/random.ts';
import { type KindName, titles } from './kinds/titles.ts';

export type Mode = 'full' | 'short' | 'soak';

/** One slot: a fault, or two at the same time, then as long as it takes to recover. */
export interface Slot {
  number: number;
  kinds: readonly KindName[];
  repeats: number;
  /** Of the chances within the fault. */
  seed: number;
}

/** One board, from its start to its checked end. */
export interface Stage {
  kafkaNodes: 1 | 3;
  callsPerSecond: number;
  baselineMs: number;
  slots: readonly Slot[];
  /** After the last slot the load goes on until so many changes were made. */
  changes: number;
}

export interface Plan {
  mode: Mode;
  seed: number;
  stages: readonly Stage[];
  /** The run is empty with fewer changes that clients know of. */
  minimumOk: number;
  maximumInfoShare: number;
}

/** Rates at which the board keeps up on two cores: in a short run on two that others use as well. */
const callsPerSecond = { full: 12, short: 9, soak: 9 } as const;
/** Three brokers need most of the two cores for themselves: at 12 calls/s the board was behind before anything broke. */
const callsPerSecondOfThree = 6;
/** So many at least in a full run: the longest of them counts. */
export const relayKills = 10;
/** Each simple fault comes so often in a full run. */
const rounds = 2;

/** Faults that can happen alone and, by twos, at the same time: what one of them breaks the other does not wait for. */
const basic: readonly KindName[] = [
  'relay-killed',
  'relay-stopped',
  'answers-lost',
  'consumer-killed',
  'consumer-stopped',
  'database-reset',
  'broker-killed',
  'redis-emptied',
  'edge-killed',
];
const pairs: readonly (readonly [KindName, KindName])[] = [
  ['relay-stopped', 'redis-emptied'],
  ['relay-stopped', 'edge-killed'],
  ['broker-killed', 'edge-killed'],
  ['broker-killed', 'redis-emptied'],
  ['answers-lost', 'edge-killed'],
  ['answers-lost', 'redis-emptied'],
  ['database-reset', 'redis-emptied'],
  ['consumer-stopped', 'edge-killed'],
];
const short: readonly KindName[] = [
  'relay-killed',
  'relay-stopped',
  'answers-lost',
  'consumer-killed',
  'database-reset',
  'broker-killed',
  'redis-emptied',
  'edge-killed',
];

/** What a seed decides: the order of the faults, what is broken, and for how long. Pure. */
export function planOf(mode: Mode, seed: number): Plan {
  const random = new Random(seed);
  const common = { mode, seed, maximumInfoShare: 0.05 };
  const single = { kafkaNodes: 1, callsPerSecond: callsPerSecond[mode] } as const;
  if (mode === 'short') {
    const slots = numbered(random, [...shuffled(random, short).map(alone), alone('rolling-restart')], () => 1);
    return { ...common, stages: [{ ...single, baselineMs: 12_000, slots, changes: 0 }], minimumOk: 900 };
  }
  const some: readonly KindName[] = ['one-of-three', 'two-of-three'];
  const brokers = mode === 'full' ? [...some, ...some] : some;
  const three: Stage = {
    kafkaNodes: 3,
    callsPerSecond: callsPerSecondOfThree,
    baselineMs: 30_000,
    slots: numbered(random, [...brokers, 'rolling-restart' as const].map(alone), () => 1),
    changes: mode === 'full' ? 1_600 : 0,
  };
  if (mode === 'soak') {
    const chosen = Array.from({ length: 6 }, () => (random.chance(0.3) ? random.pick(pairs) : [random.pick(basic)]));
    const one: Stage = { ...single, baselineMs: 30_000, slots: numbered(random, chosen, repeatsOf), changes: 0 };
    return { ...common, stages: random.chance(0.25) ? [three] : [one], minimumOk: 500 };
  }
  const together = shuffled(random, pairs);
  const all = Array.from({ length: rounds }, (_, round) =>
    shuffled(random, [...basic.map(alone), ...together.slice(2 * round, 2 * round + 2)]),
  ).flat();
  const slots = numbered(random, [...all, alone('rolling-restart')], repeatsOf);
  const one: Stage = { ...single, baselineMs: 60_000, slots, changes: 8_400 };
  return { ...common, stages: [one, three], minimumOk: 10_000 };
}

/** How often what a fault shows about time has to be measured at least in a run of this plan. Pure. */
export function neededOf({ mode, stages }: Plan): Readonly<Record<KindName, number>> {
  const planned = new Set(stages.flatMap(({ slots }) => slots.flatMap(({ kinds }) => kinds)));
  const needed = (kind: KindName) => {
    if (!planned.has(kind)) return 0;
    return mode === 'full' && kind === 'relay-killed' ? relayKills : 1;
  };
  return Object.fromEntries(Object.keys(titles).map((kind) => [kind, needed(kind as KindName)])) as Record<
    KindName,
    number
  >;
}

function alone(kind: KindName): readonly KindName[] {
  return [kind];
}

function repeatsOf(kinds: readonly KindName[]): number {
  if (kinds.length > 1) return 1;
  // one more: a kill that no event waited behind measures nothing
  if (kinds[0] === 'relay-killed') return Math.ceil(relayKills / rounds) + 1;
  return kinds[0] === 'consumer-killed' || kinds[0] === 'edge-killed' ? 2 : 1;
}

function numbered(
  random: Random,
  all: readonly (readonly KindName[])[],
  repeats: (kinds: readonly KindName[]) => number,
): Slot[] {
  return all.map((kinds, index) => ({
    number: index + 1,
    kinds,
    repeats: repeats(kinds),
    seed: random.whole(1, 1_000_000_000),
  }));
}

function shuffled<Item>(random: Random, items: readonly Item[]): Item[] {
  return items
    .map((item) => ({ item, at: random.next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

import type { DeadPolicy } from '../relay/blocked/decide.ts';
import { Random } from './random.ts';

/** What is done to whom. Each has a window of time; those of a step wait in it for that step. */
export const faultKinds = [
  'edge killed',
  'edge stopped',
  'producer answer lost',
  'producer refuses',
  'producer conflict',
  'relay killed',
  'relay stopped',
  'relay restarted',
  'consumer killed',
  'consumer stopped',
  'consumer restarted',
  'source answer lost',
  'source refuses',
  'source slow',
  'broker answer lost',
  'broker refuses',
  'broker slow',
  'partial failure',
  'message refused',
  'inbox answer lost',
  'inbox refuses',
  'inbox conflict',
  'inbox slow',
  'handler fails',
  'rebalance',
  'old copies',
  'early copy',
] as const;

export type FaultKind = (typeof faultKinds)[number];

/** Calls of an edge (a process that makes changes) at which it is killed or stopped. */
export const edgeSteps = ['statement', 'COMMIT'] as const;

/** Calls of a relay at which it is killed or stopped. */
export const relaySteps = [
  ...['readLeases', 'heartbeat', 'renew', 'acquire', 'release', 'leave'],
  ...['readBlocked', 'saveBlocked', 'moveRows', 'firstBlockedRows', 'forgetBlocked'],
  ...['readRequests', 'carryOut', 'skipEvent'],
  ...['readFirst', 'readHead', 'fetch', 'publish', 'delete', 'fence', 'lastCommitted', 'commit transaction'],
] as const;

/** The same of a consumer. */
export const consumerSteps = [
  ...['join', 'offsets', 'begin', 'lockStreams', 'findSeen', 'record', 'handler', 'writeStreams', 'findParked'],
  ...['park', 'unpark', 'writeDeadLetters', 'writeOffsets', 'commit', 'commitOffset'],
] as const;

export interface Fault {
  number: number;
  kind: FaultKind;
  atMs: number;
  forMs: number;
  /** The call at which it happens; null: at once, or at any call. */
  step: string | null;
  /** Before the call leaves, or when it is carried out and its answer not there yet. */
  phase: 'asked' | 'done';
  /** Chooses a process, a partition or a key. */
  choice: number;
}

export interface Change {
  call: number;
  atMs: number;
  key: number;
  /** From the stream lock to the commit. */
  takesMs: number;
  /** Its own code throws in the end. */
  refused: boolean;
  /** Its own code goes on where its first statement failed. */
  careless: boolean;
}

/** All of a run but what chance decides in it; a failing one shrinks by leaving out faults and changes. */
export interface Plan {
  seed: number;
  mode: 'state' | 'sequence';
  /** `changing`: processes go from one mode to the other at each of their restarts. */
  delivery: 'at-least-once' | 'exactly-once' | 'changing';
  edges: number;
  relays: number;
  consumers: number;
  keys: number;
  buckets: number;
  partitions: number;
  leaseMs: number;
  /** Failures of an event after which its key is dead, and what becomes of it then. */
  maxAttempts: number;
  deadPolicy: DeadPolicy;
  changes: readonly Change[];
  faults: readonly Fault[];
  /** From here on nothing new is broken, and what is broken is mended. */
  healMs: number;
}

const stepsOf: Readonly<Record<string, readonly string[]>> = {
  edge: edgeSteps,
  relay: relaySteps,
  consumer: consumerSteps,
};

/** Each leaves clients without an answer, or an edge without changes: few outcomes may be unknown, and a run needs changes. */
const onceOnly: readonly FaultKind[] = ['edge killed', 'edge stopped', 'producer answer lost', 'producer refuses'];

const busyMs = 12_000;

export function planOf(seed: number): Plan {
  const random = new Random(seed);
  const keys = random.whole(5, 12);
  const changes = changesOf(keys, random);
  const mode = random.chance(0.5) ? 'sequence' : 'state';
  const delivery = random.chance(0.5) ? 'at-least-once' : random.chance(0.8) ? 'exactly-once' : 'changing';
  const faults: Fault[] = [];
  const count = random.whole(8, 13);
  for (let number = 1; number <= count; number++) {
    let fault = faultOf(number, random);
    while (faults.some(({ kind }) => kind === fault.kind && onceOnly.includes(kind))) fault = faultOf(number, random);
    faults.push(fault);
  }
  return {
    ...{ seed, mode, delivery, keys, changes },
    faults: faults.sort((a, b) => a.atMs - b.atMs),
    // So many that one which is lost leaves few clients without an answer.
    edges: 5,
    relays: random.whole(2, 3),
    consumers: random.whole(2, 3),
    buckets: random.whole(2, 4),
    partitions: random.whole(2, 4),
    leaseMs: random.pick([1_000, 2_000, 3_000]),
    maxAttempts: random.pick([2, 3, 10]),
    deadPolicy: random.pick(['block-key', 'skip-key']),
    healMs: busyMs + 2_500,
  };
}

/**
 * In bursts of up to 25 changes, so that batches have several events of a key. A plan that would last too long is drawn together: what is
 * late must not come in one moment, as an edge that is lost then leaves too many clients without an answer.
 */
function changesOf(keys: number, random: Random): Change[] {
  let atMs = 0;
  const changes = Array.from({ length: 350 }, (_, index): Change => {
    if (random.chance(0.07) || index % 25 === 0) atMs += random.whole(50, 700);
    const takesMs = random.chance(0.1) ? random.whole(50, 700) : random.whole(1, 10);
    const [refused, careless] = [random.chance(0.03), random.chance(0.2)];
    return { call: index + 1, atMs, key: random.whole(1, keys), takesMs, refused, careless };
  });
  const scale = Math.min(1, busyMs / atMs);
  return changes.map((change) => ({ ...change, atMs: Math.floor(change.atMs * scale) }));
}

function faultOf(number: number, random: Random): Fault {
  const kind = random.pick(faultKinds);
  const [who, what] = kind.split(' ') as [string, string];
  const steps = what === 'killed' || what === 'stopped' ? stepsOf[who]! : null;
  return {
    ...{ number, kind },
    atMs: random.whole(300, busyMs - 500),
    forMs: random.whole(400, 2_500),
    step: steps && random.chance(0.85) ? random.pick(steps) : null,
    phase: random.chance(0.5) ? 'asked' : 'done',
    choice: random.whole(0, 999),
  };
}

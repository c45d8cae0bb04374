import type { Random } from '../../sim/random.ts';
import type { Load } from '../load/load.ts';
import type { World } from '../world/world.ts';

/** A moment from which something is measured afterwards (figures/). Wall clock, ms. */
export type Moment = { atMs: number } & (
  | { kind: 'relay-killed' | 'relay-stopped' | 'relay-terminated'; node: string; buckets: readonly string[] }
  | { kind: 'consumer-killed' | 'consumer-stopped'; node: string; consumer: 'hot-article' | 'auditor' }
  | { kind: 'back'; what: 'broker' | 'database' }
  | { kind: 'drained'; node: string; tookMs: number; how: string }
);

export interface FaultResult {
  /** How often it observably did something. A fault without any fails the run. */
  hits: number;
  /** What was seen that shows it. */
  seen: string[];
  moments: Moment[];
}

export interface FaultContext {
  world: World;
  load: Load;
  random: Random;
  /** How often a fault that can be repeated is repeated. */
  repeats: number;
  say(text: string): void;
}

/** One kind of fault: breaks something, sees that it broke, and makes it whole again. Resolves when it is whole. */
export type Fault = (context: FaultContext) => Promise<FaultResult>;

export function nothing(): FaultResult {
  return { hits: 0, seen: [], moments: [] };
}

export function merged(...results: readonly FaultResult[]): FaultResult {
  return {
    hits: results.reduce((sum, { hits }) => sum + hits, 0),
    seen: results.flatMap(({ seen }) => seen),
    moments: results.flatMap(({ moments }) => moments),
  };
}

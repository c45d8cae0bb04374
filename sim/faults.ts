import { type Fault, type FaultKind, faultKinds } from './plan.ts';
import type { History } from './record.ts';
import type { Process, World } from './world.ts';

/** `producer` is the way of those who make changes to the database `source`. */
export type Server = 'producer' | 'source' | 'broker' | 'inbox';

/** What becomes of one call. */
export interface Verdict {
  refused: boolean;
  conflict: boolean;
  answerLost: boolean;
  requestMs: number;
  answerMs: number;
}

interface Active extends Fault {
  hits: number;
  harm: Harm | null;
}

/** What a fault does to calls of a server. */
interface Harm {
  server: Server;
  what: keyof typeof chances;
}

/** How often a decision or step met each fault: the first number is without any, then in the order of `faultKinds`. */
export type Met = ReadonlyMap<string, Uint32Array>;

const columnOf = new Map<FaultKind, number>(faultKinds.map((kind, index) => [kind, index + 1]));

/** After its end a fault still counts as met for so long: what follows from it is seen then. */
const tailMs = 1_500;

/** The faults of a run: which are active now, what they do to a call, and what was decided under them. */
export class Faults {
  readonly met = new Map<string, Uint32Array>();
  /** Kills or stops a process, and brings it back; null: the one that the fault chooses. */
  strike: (fault: Fault, process: Process | null) => void = () => {};
  readonly #active = new Set<Active>();
  readonly #recent = new Map<FaultKind, number>();
  readonly #world: World;
  readonly #history: History;

  constructor(world: World, history: History) {
    this.#world = world;
    this.#history = history;
  }

  start(fault: Fault): void {
    const active = { ...fault, hits: 0, harm: harmOf(fault.kind) };
    this.#active.add(active);
    this.#history.add({ process: '', kind: 'fault', op: 'start', fault: fault.kind, number: fault.number });
    this.#world.after(fault.forMs, () => {
      // The step did not come: it happens at whatever step there is.
      if (active.step !== null && active.hits === 0 && this.#active.has(active)) {
        this.#struck(active);
        this.strike(fault, null);
      }
      this.#end(active);
    });
  }

  endAll(): void {
    for (const fault of this.#active) this.#end(fault);
  }

  /** An active fault of that kind that also fits the test; it counts as a hit. */
  hit(kind: FaultKind, fits: (fault: Fault) => boolean = () => true): Fault | null {
    for (const fault of this.#active) {
      if (fault.kind !== kind || !fits(fault)) continue;
      this.#struck(fault);
      return fault;
    }
    return null;
  }

  /** Is any fault active now? */
  get any(): boolean {
    return this.#active.size > 0;
  }

  /** What happens to this call of this process; null: nothing. */
  verdict(server: Server, step: string): Verdict | null {
    if (this.#active.size === 0) return null;
    const { random } = this.#world;
    let verdict: Verdict | null = null;
    for (const fault of this.#active) {
      if (fault.harm?.server !== server) continue;
      const { what } = fault.harm;
      // Few outcomes may be unknown to clients.
      if (!random.chance(chances[what] * (server === 'producer' ? 0.1 : 1))) continue;
      verdict ??= { refused: false, conflict: false, answerLost: false, requestMs: 0, answerMs: 0 };
      if (what === 'refuses') verdict.refused = true;
      else if (what === 'answer lost') verdict.answerLost = true;
      else if (what === 'conflict') verdict.conflict = true;
      else if (random.chance(0.5)) verdict.requestMs = random.whole(10, 700);
      else verdict.answerMs = random.whole(10, 700);
      this.#struck(fault);
      this.#count(`step ${step}`, fault.kind);
    }
    return verdict;
  }

  /** A process is at a step: those faults that wait for it happen. */
  reached(process: Process, step: string, phase: 'asked' | 'done'): void {
    for (const fault of this.#active) {
      if (fault.step !== step || fault.phase !== phase || fault.hits > 0) continue;
      if (!fault.kind.startsWith(kindOf(process))) continue;
      this.#struck(fault);
      this.#count(`step ${step}`, fault.kind);
      this.strike(fault, process);
    }
  }

  /** Something was decided: it has met the faults of now and of a moment ago. */
  decided(decision: string, times = 1): void {
    let any = false;
    for (const [kind, untilMs] of this.#recent) {
      if (untilMs < this.#world.nowMs) {
        this.#recent.delete(kind);
        continue;
      }
      any = true;
      this.#count(decision, kind, times);
    }
    if (!any) this.#add(decision, 0, times);
  }

  #struck(fault: Active): void {
    fault.hits++;
    this.#recent.set(fault.kind, this.#world.nowMs + tailMs);
  }

  #end(fault: Active): void {
    if (!this.#active.delete(fault)) return;
    const { kind, number, hits } = fault;
    this.#history.add({ process: '', kind: 'fault', op: 'end', fault: kind, number, hits });
  }

  #count(decision: string, kind: FaultKind, times = 1): void {
    this.#add(decision, columnOf.get(kind)!, times);
  }

  #add(decision: string, column: number, times: number): void {
    const row = this.met.get(decision) ?? new Uint32Array(faultKinds.length + 1);
    this.met.set(decision, row);
    row[column]! += times;
  }
}

const chances = { refuses: 0.7, 'answer lost': 0.35, conflict: 0.15, slow: 1 } as const;

const servers: readonly Server[] = ['producer', 'source', 'broker', 'inbox'];

function harmOf(kind: FaultKind): Harm | null {
  const server = servers.find((name) => kind.startsWith(`${name} `));
  const what = kind.slice(kind.indexOf(' ') + 1);
  return server && what in chances ? { server, what: what as keyof typeof chances } : null;
}

function kindOf(process: Process): string {
  return process.name.slice(0, process.name.indexOf('-'));
}

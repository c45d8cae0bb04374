import type { Fault, FaultKind } from './plan.ts';
import type { History } from './record.ts';
import type { Process, World } from './world.ts';

export type Server = 'source' | 'broker' | 'inbox';

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
}

/** After its end a fault still counts as met for so long: what follows from it is seen then. */
const tailMs = 1_500;

/** The faults of a run: which are active now, what they do to a call, and what was decided under them. */
export class Faults {
  /** Decision or step, and fault: how often they met. */
  readonly met = new Map<string, number>();
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
    const active = { ...fault, hits: 0 };
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

  /** What happens to this call of this process. */
  verdict(server: Server, step: string): Verdict {
    const { random } = this.#world;
    const verdict: Verdict = { refused: false, conflict: false, answerLost: false, requestMs: 0, answerMs: 0 };
    for (const fault of this.#active) {
      if (fault.kind === `${server} refuses` && random.chance(0.7)) verdict.refused = true;
      else if (fault.kind === `${server} answer lost` && random.chance(0.35)) verdict.answerLost = true;
      else if (fault.kind === `${server} slow`) {
        if (random.chance(0.5)) verdict.requestMs = random.whole(10, 700);
        else verdict.answerMs = random.whole(10, 700);
      } else if (fault.kind === `${server} conflict` && random.chance(0.15)) verdict.conflict = true;
      else continue;
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
      if (untilMs < this.#world.nowMs) continue;
      any = true;
      this.#count(decision, kind, times);
    }
    if (!any) this.#count(decision, 'none', times);
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

  #count(decision: string, kind: string, times = 1): void {
    const name = `${decision}|${kind}`;
    this.met.set(name, (this.met.get(name) ?? 0) + times);
  }
}

function kindOf(process: Process): string {
  return process.name.startsWith('relay') ? 'relay' : 'consumer';
}

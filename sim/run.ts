import { partitionOf } from '../kafka/partitioner.ts';
import type { OutgoingMessage } from '../kafka/port.ts';
import { createMessages } from '../relay/delivery/message.ts';
import { Broker, topic } from './broker.ts';
import { check, type Violation } from './checker.ts';
import { startConsumer } from './consumer-process.ts';
import { Edge } from './edge.ts';
import { Faults, type Met } from './faults.ts';
import { finalState } from './final.ts';
import { Group } from './group.ts';
import type { FinalState, Happening } from './history.ts';
import { InboxDatabase } from './inbox-database.ts';
import { Network } from './network.ts';
import { catalogue, type Parts, type Work } from './parts.ts';
import type { Change, Fault, Plan } from './plan.ts';
import { ProducerDatabase } from './producer-database.ts';
import { Random } from './random.ts';
import { History } from './record.ts';
import { startRelay } from './relay-process.ts';
import { Source } from './source.ts';
import { Process, World } from './world.ts';

export interface Outcome {
  violations: readonly Violation[];
  history: readonly Happening[];
  final: FinalState;
  /** Two runs with one hash were the same run. */
  hash(): string;
  met: Met;
  endedMs: number;
}

/** After the last fault everything must be sent, read and applied within this time. */
const drainLimitMs = 60_000;

interface Slot extends Work {
  kind: 'edge' | 'relay' | 'consumer';
  index: number;
  lives: number;
  process: Process;
  edge: Edge | null;
}

/** One run of the real outbox, relay and inbox in a virtual world. The same plan gives the same run. */
export async function run(plan: Plan, limits: { minimumOk: number; minimumFaults: number }): Promise<Outcome> {
  const simulation = new Simulation(plan);
  const { stackTraceLimit } = Error;
  // Runs make thousands of errors, and nobody reads where.
  Error.stackTraceLimit = 0;
  await simulation.run().finally(() => {
    Error.stackTraceLimit = stackTraceLimit;
  });
  const { history, faults, world } = simulation.parts;
  const final = finalState(simulation.parts);
  const violations = check(history.list, final, {
    mode: plan.mode,
    delivery: plan.delivery === 'exactly-once' ? 'exactly-once' : 'at-least-once',
    topicHoles: plan.delivery !== 'at-least-once',
    // Two outages of a server in a row, with the longest pause between tries after each, are no standstill.
    progressMs: plan.leaseMs + 7_000,
    maximumInfoShare: 0.05,
    ...limits,
  });
  return {
    violations,
    history: history.list,
    final,
    hash: () => history.hash(),
    met: faults.met,
    endedMs: world.nowMs,
  };
}

class Simulation {
  readonly parts: Parts;
  readonly #slots: Slot[] = [];
  /** Changes that have no answer yet. */
  #open = 0;

  constructor(plan: Plan) {
    const world = new World(new Random(plan.seed ^ 0x5eed));
    const history = new History(world);
    const faults = new Faults(world, history);
    const network = new Network(world, faults);
    const source = new Source(world, network, history, plan);
    const producer = new ProducerDatabase(world, source.tables);
    const broker = new Broker(world, network, faults, history, plan.partitions);
    const group = new Group(world, network, broker, history);
    const inbox = new InboxDatabase(world, network, faults, history);
    const message = createMessages('like');
    const messageOf = (id: string): OutgoingMessage => {
      const { events, incarnation } = source.tables;
      const event = events.get(id)!;
      const partition = partitionOf(event.aggregateId, plan.partitions);
      return message({ row: { id, day: '', keyHash: '' }, event, topic, partition }, incarnation);
    };
    this.parts = { plan, world, history, faults, network, source, producer, broker, group, inbox, messageOf };
    faults.strike = (fault, process) => this.#strike(fault, process);
  }

  async run(): Promise<void> {
    const { plan, world, faults, group } = this.parts;
    const { healMs } = plan;
    for (const kind of ['edge', 'relay', 'consumer'] as const) {
      for (let index = 0; index < plan[`${kind}s`]; index++) this.#slots.push(this.#begin(kind, index, 1));
    }
    this.#operate();
    for (const change of plan.changes) world.after(change.atMs, () => this.#change(change));
    for (const fault of plan.faults) world.after(fault.atMs, () => this.#startFault(fault));
    world.after(healMs, () => {
      faults.endAll();
      group.ghost(false);
      for (const { process } of this.#slots) process.resume();
    });
    await world.run(healMs + drainLimitMs, () => world.nowMs > healMs && this.#isDrained());
    for (const { process } of this.#slots) process.kill();
  }

  #isDrained(): boolean {
    const { source, inbox, broker } = this.parts;
    if (this.#open > 0 || source.tables.pending.size > 0 || inbox.parked.size > 0) return false;
    if (this.#slots.some(({ process }) => !process.alive)) return false;
    return broker.partitions.every((_, partition) => (inbox.offsets.get(partition) ?? 0n) >= broker.end(partition));
  }

  /** A client's request, to one edge, or to the other where that refuses the connection. */
  #change(change: Change): void {
    const { history } = this.parts;
    const { call } = change;
    const client = { process: `client-${call}`, kind: 'client', call, aggregate: String(change.key) } as const;
    history.add({ ...client, op: 'invoke' });
    const edges = this.#slots.filter(({ kind, process }) => kind === 'edge' && process.running);
    const slot = edges[call % Math.max(1, edges.length)];
    if (!slot) {
      history.add({ ...client, op: 'fail' });
      return;
    }
    this.#open++;
    slot.edge!.change(change, ({ op, event }) => {
      this.#open--;
      history.add({ ...client, op, ...(event && { event: event.eventId, version: Number(event.version) }) });
    });
  }

  /** An operator looks at blocked keys now and then, and at the end tries again what is dead. */
  #operate(): void {
    const { world, plan, source, faults } = this.parts;
    const { blocked } = source.tables;
    const isOver = world.nowMs > plan.healMs;
    for (const [keyHash, { key, request }] of blocked.keys) {
      if (request !== null || !(isOver ? key.state === 'dead' : world.random.chance(0.3))) continue;
      const action = !isOver && world.random.chance(0.4) ? 'drop' : 'retry';
      blocked.request({ keyHash, rowId: key.rowId, action, reason: 'so decided' });
      faults.decided(`operator asks ${action}`);
    }
    world.after(world.random.whole(500, 900), () => this.#operate());
  }

  /** Hints get lost now and then. */
  #nudge(buckets: readonly number[]): void {
    for (const { process, nudge, kind } of this.#slots) {
      if (kind !== 'relay' || !this.parts.world.random.chance(0.8)) continue;
      for (const bucket of buckets) process.deliver(() => nudge(bucket));
    }
  }

  #startFault(fault: Fault): void {
    const { faults, world, plan, group, broker, source, messageOf } = this.parts;
    faults.start(fault);
    const { kind, atMs, forMs, choice } = fault;
    const endMs = atMs + forMs;
    const itself = ({ number }: Fault) => number === fault.number;
    const repeat = (everyMs: number, once: () => boolean) => {
      if (world.nowMs >= endMs || world.nowMs >= plan.healMs) return;
      if (once()) world.after(everyMs, () => repeat(everyMs, once));
    };
    if (/^(edge|relay|consumer) /.test(kind)) {
      if (fault.step === null && faults.hit(kind, itself)) this.#strike(fault, null);
    } else if (kind === 'rebalance') {
      repeat(300, () => {
        group.ghost(world.random.chance(0.5));
        return faults.hit(kind, itself) !== null;
      });
      world.after(forMs, () => group.ghost(false));
    } else if (kind === 'old copies') {
      repeat(200, () => broker.copyOld(choice + world.nowMs) === 0 || faults.hit(kind, itself) !== null);
    } else if (kind === 'early copy') {
      repeat(5, () => {
        const waiting = source.waiting(choice + world.nowMs);
        if (waiting && world.random.chance(0.5)) {
          broker.append(messageOf(waiting.id), true);
          faults.hit(kind, itself);
        }
        return true;
      });
    }
  }

  #strike(fault: Fault, process: Process | null): void {
    const { faults, world, plan } = this.parts;
    const wanted = fault.kind.split(' ')[0]!;
    const candidates = this.#slots.filter(({ kind, process }) => kind === wanted && process.alive);
    const slot =
      candidates.find((each) => each.process === process) ?? candidates[fault.choice % Math.max(1, candidates.length)];
    if (!slot) return;
    faults.decided(`${wanted} struck`);
    if (fault.kind.endsWith('killed')) {
      slot.process.kill();
      this.#health(wanted);
      world.after(200 + fault.choice * 3, () => this.#again(slot));
    } else if (fault.kind.endsWith('stopped')) {
      // Longer than the lease, longer than the session of the group.
      const ms = (wanted === 'relay' ? plan.leaseMs : 1_500) * 1.1 + fault.choice;
      slot.process.pause(ms);
      this.#health(wanted);
      world.after(ms, () => this.#health(wanted));
    } else {
      const { process: old, stop } = slot;
      const again = () => {
        if (slot.process !== old) return;
        old.kill();
        this.#again(slot);
      };
      stop().then(again, again);
      world.after(6_000, again);
    }
  }

  #again(slot: Slot): void {
    if (slot.process.alive) return;
    Object.assign(slot, this.#begin(slot.kind, slot.index, slot.lives + 1));
    this.#health(slot.kind);
  }

  #health(part: string): void {
    const all = this.#slots.filter(({ kind }) => kind === part);
    const healthy = all.filter(({ process }) => process.running).length;
    this.parts.history.add({ process: '', kind: 'health', op: 'changed', part, healthy, of: all.length });
  }

  #begin(kind: Slot['kind'], index: number, lives: number): Slot {
    const { world, network, producer, plan } = this.parts;
    const { random } = world;
    const speed = 1 + (random.next() - 0.5) / 50;
    const process = new Process(world, `${kind}-${index + 1}.${lives}`, speed, random.whole(-9_000, 9_000));
    const slot = { kind, index, lives, process, edge: null };
    if (kind === 'relay') return { ...slot, ...startRelay(this.parts, process, lives) };
    if (kind === 'consumer') return { ...slot, ...startConsumer(this.parts, process) };
    const { buckets } = plan;
    const nudge = (list: readonly number[]) => this.#nudge(list);
    const edge = new Edge({ world, network, process, database: producer, catalogue, buckets, nudge });
    return { ...slot, edge, stop: async () => {}, nudge: () => {} };
  }
}

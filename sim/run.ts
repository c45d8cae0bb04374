import { Type } from '@sinclair/typebox';
import { createCatalogue } from '../events/catalogue.ts';
import { defineEvent } from '../events/definition.ts';
import type { GapAnswer } from '../inbox/gaps/answer.ts';
import { createInbox } from '../inbox/inbox.ts';
import type { InboxEvent, InboxTransaction } from '../inbox/types.ts';
import { partitionOf } from '../kafka/partitioner.ts';
import type { OutgoingMessage } from '../kafka/port.ts';
import { createAtLeastOnce } from '../relay/delivery/at-least-once.ts';
import { createMessages } from '../relay/delivery/message.ts';
import { SourceRelay } from '../relay/source-relay.ts';
import { Broker, topic } from './broker.ts';
import { check, type Violation } from './checker.ts';
import { Faults, type Met } from './faults.ts';
import { Group } from './group.ts';
import type { FinalState, Happening } from './history.ts';
import { InboxDatabase, type ProjectionRow, readProjection, writeProjection } from './inbox-database.ts';
import { Network } from './network.ts';
import type { Fault, Plan } from './plan.ts';
import { Random } from './random.ts';
import { History } from './record.ts';
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
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const catalogue = createCatalogue([
  defineEvent({
    ...{ type: 'ArticleLiked', schemaVersion: 1, source: 'like', aggregateType: 'article' },
    payload: Type.Object({ version: Type.Integer({ minimum: 1 }) }),
  }),
]);

interface Slot {
  kind: 'relay' | 'consumer';
  index: number;
  lives: number;
  process: Process;
  stop(): Promise<void>;
  nudge(bucket: number): void;
}

/** One run of the real relay and inbox in a virtual world. The same plan gives the same run. */
export async function run(plan: Plan, limits: { minimumOk: number; minimumFaults: number }): Promise<Outcome> {
  const simulation = new Simulation(plan);
  const { stackTraceLimit } = Error;
  // Runs make thousands of errors, and nobody reads where.
  Error.stackTraceLimit = 0;
  await simulation.run().finally(() => {
    Error.stackTraceLimit = stackTraceLimit;
  });
  const final = simulation.final();
  const { history } = simulation;
  const options = { mode: plan.mode, maximumInfoShare: 0.05, ...limits };
  return {
    violations: check(history.list, final, options),
    ...{ history: history.list, final, hash: () => history.hash() },
    ...{ met: simulation.faults.met, endedMs: simulation.world.nowMs },
  };
}

class Simulation {
  readonly world: World;
  readonly history: History;
  readonly faults: Faults;
  readonly #plan: Plan;
  readonly #network: Network;
  readonly #source: Source;
  readonly #broker: Broker;
  readonly #group: Group;
  readonly #inbox: InboxDatabase;
  readonly #slots: Slot[] = [];
  readonly #messageOf = createMessages('like');

  constructor(plan: Plan) {
    this.#plan = plan;
    this.world = new World(new Random(plan.seed ^ 0x5eed));
    this.history = new History(this.world);
    this.faults = new Faults(this.world, this.history);
    this.#network = new Network(this.world, this.faults);
    this.#source = new Source(this.world, this.#network, this.history, plan);
    this.#broker = new Broker(this.world, this.#network, this.faults, this.history, plan.partitions);
    this.#group = new Group(this.world, this.#network, this.#broker, this.history);
    this.#inbox = new InboxDatabase(this.world, this.#network, this.faults, this.history);
    this.faults.strike = (fault, process) => this.#strike(fault, process);
  }

  async run(): Promise<void> {
    const { world } = this;
    const { relays, consumers, changes, faults, healMs } = this.#plan;
    for (let index = 0; index < relays; index++) this.#slots.push(this.#begin('relay', index, 1));
    for (let index = 0; index < consumers; index++) this.#slots.push(this.#begin('consumer', index, 1));
    for (const change of changes)
      world.after(change.atMs, () => this.#source.change(change, (bucket) => this.#nudge(bucket)));
    for (const fault of faults) world.after(fault.atMs, () => this.#startFault(fault));
    world.after(healMs, () => {
      this.faults.endAll();
      this.#group.ghost(false);
      for (const { process } of this.#slots) process.resume();
    });
    await world.run(healMs + drainLimitMs, () => world.nowMs > healMs && this.#isDrained());
    for (const { process } of this.#slots) process.kill();
  }

  final(): FinalState {
    const { effects, parked, dead, projection, offsets } = this.#inbox;
    return {
      ledger: this.#source.ledger,
      unsent: this.#source.unsent(),
      effects,
      parked: [...parked.values()].map(({ arrival }) => arrival.event.eventId),
      deadLetters: [...dead.values()].flatMap(({ event }) => event?.eventId ?? []),
      projection: [...projection].map(([aggregate, row]) => ({ aggregate, ...row })),
      positions: this.#broker.partitions.map((log, partition) => ({
        partition,
        stored: Number(offsets.get(partition) ?? 0n),
        end: log.length,
      })),
    };
  }

  #isDrained(): boolean {
    if (this.#source.open > 0 || this.#source.tables.pending.size > 0 || this.#inbox.parked.size > 0) return false;
    if (this.#slots.some(({ process }) => !process.alive)) return false;
    const { offsets } = this.#inbox;
    return this.#broker.partitions.every((log, partition) => (offsets.get(partition) ?? 0n) >= BigInt(log.length));
  }

  /** Hints get lost now and then. */
  #nudge(bucket: number): void {
    for (const { process, nudge } of this.#slots) {
      if (this.world.random.chance(0.8)) process.deliver(() => nudge(bucket));
    }
  }

  #startFault(fault: Fault): void {
    this.faults.start(fault);
    const { kind, atMs, forMs, choice } = fault;
    const endMs = atMs + forMs;
    const itself = ({ number }: Fault) => number === fault.number;
    const repeat = (everyMs: number, once: () => boolean) => {
      if (this.world.nowMs >= endMs || this.world.nowMs >= this.#plan.healMs) return;
      if (once()) this.world.after(everyMs, () => repeat(everyMs, once));
    };
    if (/^(relay|consumer) /.test(kind)) {
      if (fault.step === null && this.faults.hit(kind, itself)) this.#strike(fault, null);
    } else if (kind === 'rebalance') {
      repeat(300, () => {
        this.#group.ghost(this.world.random.chance(0.5));
        return this.faults.hit(kind, itself) !== null;
      });
      this.world.after(forMs, () => this.#group.ghost(false));
    } else if (kind === 'old copies') {
      repeat(
        200,
        () => this.#broker.copyOld(choice + this.world.nowMs) === 0 || this.faults.hit(kind, itself) !== null,
      );
    } else if (kind === 'early copy') {
      repeat(5, () => {
        const waiting = this.#source.waiting(choice + this.world.nowMs);
        if (waiting && this.world.random.chance(0.5)) {
          this.#broker.append(this.#message(waiting.id), true);
          this.faults.hit(kind, itself);
        }
        return true;
      });
    }
  }

  #strike(fault: Fault, process: Process | null): void {
    const wanted = fault.kind.startsWith('relay') ? 'relay' : 'consumer';
    const candidates = this.#slots.filter(({ kind, process }) => kind === wanted && process.alive);
    const slot =
      candidates.find((each) => each.process === process) ?? candidates[fault.choice % Math.max(1, candidates.length)];
    if (!slot) return;
    this.faults.decided(`${wanted} struck`);
    if (fault.kind.endsWith('killed')) {
      slot.process.kill();
      this.world.after(200 + fault.choice * 3, () => this.#again(slot));
    } else if (fault.kind.endsWith('stopped')) {
      // Longer than the lease, longer than the session of the group.
      slot.process.pause((wanted === 'relay' ? this.#plan.leaseMs : 1_500) * 1.1 + fault.choice);
    } else {
      const { process: old, stop } = slot;
      const again = () => {
        if (slot.process !== old) return;
        old.kill();
        this.#again(slot);
      };
      stop().then(again, again);
      this.world.after(6_000, again);
    }
  }

  #again(slot: Slot): void {
    if (slot.process.alive) return;
    Object.assign(slot, this.#begin(slot.kind, slot.index, slot.lives + 1));
  }

  #begin(kind: Slot['kind'], index: number, lives: number): Slot {
    const { random } = this.world;
    const process = new Process(
      this.world,
      `${kind}-${index + 1}.${lives}`,
      1 + (random.next() - 0.5) / 50,
      random.whole(-9_000, 9_000),
    );
    const parts = kind === 'relay' ? this.#relay(process) : this.#consumer(process);
    return { ...{ kind, index, lives, process }, ...parts };
  }

  #relay(process: Process): Pick<Slot, 'stop' | 'nudge'> {
    const { leaseMs, buckets, partitions } = this.#plan;
    const retry = { firstMs: 100, longestMs: 1_000 };
    const relay = new SourceRelay({
      ...{
        name: 'like',
        me: process.name,
        topics: [topic],
        buckets,
        leaseMs,
        shortestPollMs: 50,
        longestPollMs: 1_000,
      },
      route: ({ aggregateId }) => ({ topic, partition: partitionOf(aggregateId, partitions) }),
      checkTopics: async () => {},
      loop: {
        ...{ batchSize: 12, batchBytes: 2 ** 20, headRows: 60, retry },
        blocked: { maxAttempts: 10, deadPolicy: 'block-key', retry: { firstMs: 400, longestMs: 4_000 } },
      },
      store: this.#source.storeFor(process),
      delivery: (bucket, incarnation) =>
        this.#source.recorded(
          process,
          bucket,
          createAtLeastOnce({ publisher: this.#broker.publisher(process), source: 'like', incarnation }),
        ),
      ...{ clock: process.clock, log: silent },
      metrics: {
        add: (name, { reason }, by) => this.faults.decided(`relay ${name}${reason ? ` ${reason}` : ''}`, by),
        set: () => {},
        observe: () => {},
      },
    });
    void relay.start(2_000).catch(() => undefined);
    return { stop: () => relay.stop(4_000), nudge: (bucket) => relay.nudge([bucket]) };
  }

  #consumer(process: Process): Pick<Slot, 'stop' | 'nudge'> {
    const inbox = createInbox({
      ...{ group: 'sim', groupId: 'sim', mode: this.#plan.mode, topics: [topic], catalogue },
      handlers: { '*': { handleBatch: applyToProjection } },
      store: this.#inbox.storeFor(process),
      kafka: {
        consumer: (options) => this.#group.consumer(process, options),
        admin: () => ({ offsets: async () => [], close: async () => {} }) as never,
      },
      clock: process.clock,
      metrics: {
        count: (name, by, labels) => this.faults.decided(decisionOf(name, labels), by),
        gauge: () => {},
        observe: () => {},
      },
      random: () => this.world.random.next(),
      ...{ batchSize: 15, handlerAttempts: 3, handlerTimeoutMs: 3_000, parkedLimit: 200 },
      ...{ gapLimitMs: 600, gapPollMs: 400, lagPollMs: 20_000, stallMs: 20_000 },
      askProducer: (gap) => this.#ask(process, gap.aggregateId, gap.version),
    });
    void inbox.start();
    return { stop: () => inbox.stop(), nudge: () => {} };
  }

  #ask(process: Process, aggregate: string, version: bigint): Promise<GapAnswer> {
    const away = () => new Error('the producer is away');
    return this.#network.call(
      { process, server: 'source', refused: away, answerLost: away, timedOut: away, timeoutMs: 1_000 },
      'ask',
      (): GapAnswer => {
        const { events, pending } = this.#source.tables;
        const event = [...events.values()].find(
          (each) => each.aggregateId === aggregate && each.version === String(version),
        );
        if (!event || pending.has(Number(event.id))) return { answer: 'pending' };
        const { key, value, headers } = this.#message(event.id);
        const bytes = Object.entries(headers ?? {}).map(([name, text]) => [name, Buffer.from(text as Buffer)]);
        return { answer: 'event', message: { key: key!, value: value!, headers: Object.fromEntries(bytes) } };
      },
    );
  }

  #message(id: string): OutgoingMessage {
    const { events, incarnation } = this.#source.tables;
    const event = events.get(id)!;
    const row = { id, day: '', keyHash: '' };
    const partition = partitionOf(event.aggregateId, this.#plan.partitions);
    return this.#messageOf({ row: row as never, event, topic, partition }, incarnation);
  }
}

const decisionNames = new Map<string, string>();

function decisionOf(metric: string, labels: Readonly<Record<string, unknown>> | undefined): string {
  const name = labels ? `${metric} ${Object.values(labels).join(' ')}` : metric;
  const known = decisionNames.get(name);
  if (known !== undefined) return known;
  const words = name.replace(/\.total\b/, '').replaceAll('.', ' ');
  decisionNames.set(name, words);
  return words;
}

/** Reads what is there, adds to it and writes it back: right only where the stream's lock keeps others out. */
async function applyToProjection(tx: InboxTransaction, events: readonly InboxEvent[]): Promise<void> {
  const aggregates = [...new Set(events.map(({ aggregateId }) => aggregateId))].sort();
  const rows = await tx.query<ProjectionRow | undefined>(readProjection, aggregates);
  const projection = new Map(
    aggregates.map((name, at) => [name, { ...(rows[at] ?? { version: 0, applied: 0, sum: 0 }) }]),
  );
  for (const { aggregateId, version } of events) {
    const row = projection.get(aggregateId)!;
    row.version = Number(version);
    row.applied++;
    row.sum += Number(version);
  }
  await tx.write(writeProjection, [...projection, ...events]);
}

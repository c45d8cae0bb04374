import { appendFileSync, mkdirSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { boardSources } from '../events/board.ts';
import { Random } from '../sim/random.ts';
import { until } from '../testing/until.ts';
import { auditorGroup } from './auditor/group.ts';
import { boundOf } from './figures/series.ts';
import { type FaultContext, type FaultResult, type Moment, merged } from './kinds/kind.ts';
import { faults } from './kinds/kinds.ts';
import { titles } from './kinds/titles.ts';
import type { CallRecord } from './load/calls.ts';
import { Load } from './load/load.ts';
import type { Slot, Stage } from './plan.ts';
import { observe } from './truth/read.ts';
import type { ConsumerName, Evidence, KafkaOffset, Outage } from './verify/histories.ts';
import { compareHotLists } from './verify/hot-lists.ts';
import { World, type WorldOptions } from './world/world.ts';

const articles = 60;
/** How long the board may take to be well again after a slot before the next one begins anyway. */
const recoverLimitMs = 60_000;
/** How long the load may go on after the last slot for the changes that are wanted. */
const goOnLimitMs = 300_000;
/** For so long figures have to be as usual. */
const calmMs = 4_000;
const lookEveryMs = 800;
const offsetsEveryMs = 3_000;

/** A slot as it was run: times are wall clock, ms. */
export interface RunSlot {
  slot: Slot;
  title: string;
  startedMs: number;
  healedMs: number;
  endedMs: number;
  hits: number;
  seen: string[];
  /** The machine's load average when the fault began: how many processes want a core. */
  machineLoad: number;
}

/** What a stage leaves behind: everything that is judged afterwards. */
export interface StageRun {
  stage: Stage;
  startedMs: number;
  baselineEndMs: number;
  endedMs: number;
  slots: RunSlot[];
  moments: Moment[];
  evidence: Evidence;
  calls: readonly CallRecord[];
  skippedCalls: number;
}

export interface StageOptions {
  stage: Stage;
  seed: number;
  folder: string;
  say(text: string): void;
  /** See `Options`. */
  deadlineFactor: number;
}

/** Boots a board, measures it at rest, goes through the slots, lets it come to rest and reads what is left. */
export async function runStage(options: StageOptions): Promise<StageRun> {
  const { stage, seed, folder, say, deadlineFactor } = options;
  mkdirSync(folder, { recursive: true });
  const write = (file: string, line: object) => appendFileSync(join(folder, file), `${JSON.stringify(line)}\n`);
  say(`booting a board with ${stage.kafkaNodes === 1 ? 'one broker' : `${stage.kafkaNodes} brokers`}`);
  const world = await startWorld(
    {
      kafkaNodes: stage.kafkaNodes,
      historyFolder: folder,
      log: (from, text) => appendFileSync(join(folder, 'nodes.log'), `${new Date().toISOString()} ${from} | ${text}\n`),
    },
    say,
  );
  const load = new Load({
    client: world.client,
    gateways: world.gateways,
    callsPerSecond: stage.callsPerSecond,
    random: new Random(seed),
    onRecord: (record) => write('client.jsonl', record),
  });
  const watch = watchOffsets(world, (offset) => write('kafka.jsonl', offset));
  try {
    await load.prepare(articles);
    load.start();
    // connections, caches and compiled code: what comes first is not what is normal
    await pause(5_000);
    const startedMs = Date.now();
    await pause(stage.baselineMs);
    const baselineEndMs = Date.now();
    const usualMs = {
      applied: boundOf(await world.truth.delayMs(0.98, startedMs)),
      sent: boundOf(await world.truth.sendingMs(0.98, startedMs)),
    };
    say(
      `baseline measured: what takes more than ${Math.round(usualMs.sent)} ms to be sent or ${Math.round(usualMs.applied)} ms to be applied is not as usual`,
    );
    const slots: RunSlot[] = [];
    const moments: Moment[] = [];
    for (const slot of stage.slots) {
      const run = await runSlot({
        world,
        load,
        slot,
        usualMs,
        wellWithinMs: deadlineFactor * recoverLimitMs,
        say,
        write,
      });
      slots.push(run.slot);
      moments.push(...run.moments);
    }
    await goOn(load, stage.changes, say);
    await load.stop();
    say('load stopped; waiting for everything to be applied');
    // views are gathered before they are written
    await pause(world.config.viewFlushMs + 2_000);
    await until(
      'everything is applied',
      deadlineFactor * recoverLimitMs,
      async () => !(await world.truth.isBehind(0)),
      300,
    ).catch((error: Error) => say(error.message));
    const endedMs = Date.now();
    const lists = await compareHotLists(world);
    await watch.stop();
    const observed = await observe(world);
    for (const event of world.events) write('faults.jsonl', { kind: 'node', ...event });
    const outages = slots.filter(({ slot }) => breaksTheBoard(slot)).map(outageOf);
    const evidence: Evidence = { observed, calls: load.records, kafkaOffsets: watch.offsets, outages, ...lists };
    return {
      stage,
      startedMs,
      baselineEndMs,
      endedMs,
      slots,
      moments,
      evidence,
      calls: load.records,
      skippedCalls: load.skipped,
    };
  } finally {
    await watch.stop();
    await load.stop();
    say('stopping the board');
    await world.stop();
  }
}

/** Boots a board. Ports are looked for and then taken: somebody else on the machine may be faster, so there are three tries. */
async function startWorld(options: WorldOptions, say: (text: string) => void, tries = 3): Promise<World> {
  try {
    return await World.start(options);
  } catch (error) {
    if (tries <= 1 || !isPortTaken(error)) throw error;
    say(`a port was taken by somebody else; booting once more (${(error as Error).message.slice(0, 200)})`);
    return startWorld(options, say, tries - 1);
  }
}

function isPortTaken(error: unknown): boolean {
  return /EADDRINUSE|[Aa]ddress already in use/.test(String((error as Error | null)?.message));
}

interface SlotContext {
  world: World;
  load: Load;
  slot: Slot;
  /** How long events take to be sent, and to be applied, when all is well, at most. */
  usualMs: { sent: number; applied: number };
  /** The next slot begins then, well or not. */
  wellWithinMs: number;
  say(text: string): void;
  write(file: string, line: object): void;
}

async function runSlot({
  world,
  load,
  slot,
  usualMs,
  wellWithinMs,
  say,
  write,
}: SlotContext): Promise<{ slot: RunSlot; moments: Moment[] }> {
  const title = slot.kinds.map((kind) => titles[kind]).join(' + ');
  say(`slot ${slot.number}: ${title}`);
  const random = new Random(slot.seed);
  const startedMs = Date.now();
  const machineLoad = loadavg()[0]!;
  write('faults.jsonl', {
    atMs: startedMs,
    process: 'faults',
    kind: 'fault',
    op: 'start',
    fault: title,
    number: slot.number,
  });
  const context: Omit<FaultContext, 'random'> = { world, load, repeats: slot.repeats, say };
  const seeds = slot.kinds.map(() => random.whole(1, 1_000_000_000));
  const results = await Promise.all(
    slot.kinds.map(async (kind, index): Promise<FaultResult> => {
      try {
        return await faults[kind]({ ...context, random: new Random(seeds[index]!) });
      } catch (error) {
        say(`the fault failed: ${(error as Error).message}`);
        return { hits: 0, seen: [`the fault failed: ${(error as Error).message}`], moments: [] };
      }
    }),
  );
  const healedMs = Date.now();
  const result = merged(...results);
  // of a pair both have to have done something
  const hits = results.every((one) => one.hits > 0) ? result.hits : 0;
  write('faults.jsonl', {
    atMs: healedMs,
    process: 'faults',
    kind: 'fault',
    op: 'end',
    fault: title,
    number: slot.number,
    hits,
  });
  let wellSinceMs = Number.POSITIVE_INFINITY;
  await until(
    'the board is well again',
    wellWithinMs,
    async () => {
      // what is over only just, and between two looks, is seen as well: figures are drawn from every event afterwards
      const isBehind =
        (await world.truth.isBehind(usualMs.applied - lookEveryMs)) ||
        (await world.truth.isUnsentFor(usualMs.sent - lookEveryMs));
      if (isBehind) wellSinceMs = Number.POSITIVE_INFINITY;
      else wellSinceMs = Math.min(wellSinceMs, Date.now());
      return Date.now() - Math.max(wellSinceMs, load.lastTroubleMs) >= calmMs;
    },
    lookEveryMs,
  ).catch((error: Error) => say(error.message));
  const run = { slot, title, startedMs, healedMs, endedMs: Date.now(), hits, seen: result.seen, machineLoad };
  say(`slot ${slot.number}: ${result.seen.join('; ')}`);
  return { slot: run, moments: result.moments };
}

/** Lets the load go on until so many changes were made. Where it takes too long the run is told to be empty. */
async function goOn(load: Load, changes: number, say: (text: string) => void): Promise<void> {
  if (load.changes >= changes) return;
  say(`${load.changes} changes were made; the load goes on until there are ${changes}`);
  await until('enough changes were made', goOnLimitMs, () => load.changes >= changes, 300).catch((error: Error) =>
    say(error.message),
  );
}

/** Whether a fault may stop everything for a while. In all others something goes on. */
function breaksTheBoard({ kinds }: Slot): boolean {
  return !kinds.every((kind) => kind === 'rolling-restart' || kind === 'one-of-three' || kind === 'redis-emptied');
}

function outageOf({ startedMs, healedMs }: RunSlot): Outage {
  return { fromMs: startedMs, toMs: healedMs };
}

/** Looks at the committed offsets of both groups while the board runs, where Kafka answers. */
function watchOffsets(world: World, onOffset: (offset: KafkaOffset) => void) {
  const offsets: KafkaOffset[] = [];
  const groups: Record<ConsumerName, string> = {
    'hot-article': `${world.config.topicPrefix}.hot-article`,
    auditor: auditorGroup,
  };
  const last = new Map<string, number>();
  let stopped = false;
  const look = async () => {
    for (const [consumer, group] of Object.entries(groups) as [ConsumerName, string][]) {
      for (const source of boardSources) {
        const committed = await world.admin.committed(group, `${world.config.topicPrefix}.${source}`);
        const atMs = Date.now();
        for (const { partition, offset } of committed) {
          const key = `${consumer} ${source} ${partition}`;
          if (offset === null || last.get(key) === Number(offset)) continue;
          last.set(key, Number(offset));
          const seen = { atMs, consumer, source, partition, offset: Number(offset) };
          offsets.push(seen);
          onOffset(seen);
        }
      }
    }
  };
  const running = (async () => {
    while (!stopped) {
      await look().catch(() => undefined);
      await pause(offsetsEveryMs);
    }
  })();
  return {
    offsets,
    async stop() {
      stopped = true;
      await running;
    },
  };
}

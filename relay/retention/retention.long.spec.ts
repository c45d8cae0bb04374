import { closeSync, fsync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../clock/clock.ts';
import { eventually } from '../../testing/until.ts';
import { openMysqlPartitions } from './mysql-partitions.ts';
import type { Outcome } from './store.ts';
import {
  type AgedOutbox,
  openAgedOutbox,
  startReader,
  startWriters,
  tookMs,
  type Write,
} from './testing/aged-outbox.ts';

const rows = Number(process.env.RETENTION_ROWS ?? 1_000_000);
/** Old days, each with a share of the rows. */
const oldDays = Number(process.env.RETENTION_DAYS ?? 1);
const phaseMs = Number(process.env.RETENTION_PHASE_MS ?? 20_000);
const limitMs = 500;
const reportFile = '.hotboard/retention.md';

interface Step extends Write {
  name: 'split' | 'drop';
  outcome: Outcome;
}

/** What the machine itself did meanwhile: the longest pause of this process, and the longest fsync of one small page. */
function startProbe() {
  const folder = mkdtempSync(join(tmpdir(), 'hotboard-probe-'));
  const file = openSync(join(folder, 'page'), 'w');
  const pauses = monitorEventLoopDelay({ resolution: 5 });
  pauses.enable();
  let longestSyncMs = 0;
  let stopping = false;
  const running = (async () => {
    while (!stopping) {
      writeSync(file, Buffer.alloc(4_096), 0, 4_096, 0);
      const startMs = performance.now();
      await promisify(fsync)(file);
      longestSyncMs = Math.max(longestSyncMs, performance.now() - startMs);
      await pause(10);
    }
  })();
  return {
    take() {
      const taken = { syncMs: longestSyncMs, pauseMs: pauses.max / 1e6 };
      longestSyncMs = 0;
      pauses.reset();
      return taken;
    },
    async stop() {
      stopping = true;
      await running;
      pauses.disable();
      closeSync(file);
      rmSync(folder, { recursive: true });
    },
  };
}

interface Phase {
  name: string;
  retains: boolean;
  writes: Write[];
  probe: ReturnType<ReturnType<typeof startProbe>['take']>;
}

let old: AgedOutbox;
const steps: Step[] = [];
beforeAll(async () => {
  old = await openAgedOutbox();
  await old.giveOldDays(3 + oldDays);
  for (let day = 0; day < oldDays; day++) await old.fill(old.dayAgo(4 + day), Math.ceil(rows / oldDays));
}, 900_000);
afterAll(() => old.close());

async function openTimed() {
  const store = await openMysqlPartitions({ url: old.url, clock: systemClock });
  const timed = async (name: Step['name'], work: Promise<Outcome>) => {
    const startMs = performance.now();
    const outcome = await work;
    steps.push({ name, outcome, startMs, endMs: performance.now() });
    return outcome;
  };
  const methods = {
    split: (...args: Parameters<typeof store.split>) => timed('split', store.split(...args)),
    drop: (...args: Parameters<typeof store.drop>) => timed('drop', store.drop(...args)),
  };
  return new Proxy(store, {
    get: (target, name) => {
      const value = Reflect.get({ ...methods }, name) ?? Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

describe(`${rows} sent events`, () => {
  it('are removed by dropping their partitions while writers and long readers run: no write stalls', async () => {
    const snapshot = await startReader(old, 'outbox_pending'); // until the end: no undo is purged
    const writers = startWriters(old, 4);
    const probe = startProbe();
    const phases: Phase[] = [];
    const phase = async (name: string, retains: boolean, work: () => Promise<unknown>) => {
      await Promise.all([pause(phaseMs), work()]);
      phases.push({ name, retains, writes: writers.take(), probe: probe.take() });
    };
    await phase('before, without retention', false, async () => {});
    const reader = await startReader(old);
    writers.take();
    probe.take();
    const janitor = old.janitor({ aheadDays: 15 }, { open: openTimed });
    await phase('a reader of the outbox does not end, the janitor gives way', true, async () => janitor.start());
    expect(janitor.status!.lastError!.code).toBe('RETENTION_BUSY');
    await reader.end();
    await phase('the reader has ended: days are split off and dropped', true, async () => {
      await eventually(() => janitor.status!.lastVisitAt !== null, 120_000);
    });
    await janitor.stop();
    await phase('after, without retention', false, async () => {});
    await writers.stop();
    await Promise.all([snapshot.end(), probe.stop()]);
    expect((await old.partitions())[0]).toBe(old.nameOf(old.dayAgo(3)));

    const all = phases.flatMap(({ writes }) => writes);
    mkdirSync('.hotboard', { recursive: true });
    writeFileSync(reportFile, report(phases, all));
    const longestOf = (retains: boolean) =>
      Math.max(...phases.filter((one) => one.retains === retains).flatMap(({ writes }) => tookMs(writes)));
    // Where the machine itself holds up writes for longer than that, no longer than without retention.
    expect(longestOf(true)).toBeLessThan(Math.max(limitMs, longestOf(false)));
  }, 600_000);
});

function report(phases: readonly Phase[], all: readonly Write[]): string {
  const ofPhases = phases.map(({ name, writes, probe }) => {
    const sorted = tookMs(writes).toSorted((a, b) => a - b);
    const at = (share: number) => Math.round(sorted[Math.floor(sorted.length * share)]!);
    return [
      name,
      sorted.length,
      at(0.5),
      at(0.99),
      Math.round(sorted.at(-1)!),
      sorted.filter((ms) => ms > limitMs).length,
      Math.round(probe.syncMs),
      Math.round(probe.pauseMs),
    ];
  });
  const ofSteps = [...Map.groupBy(steps, ({ name, outcome }) => `${name}, ${outcome}`)].map(([name, some]) => {
    const beside = all.filter((write) =>
      some.some(({ startMs, endMs }) => write.startMs < endMs && write.endMs > startMs),
    );
    return [name, some.length, Math.round(Math.max(...tookMs(some))), Math.round(Math.max(0, ...tookMs(beside)))];
  });
  return [
    `${rows} rows of 600 bytes in ${oldDays} old partition(s); four writers; a transaction that has read the outbox and stays`,
    'open for one phase, another one (a snapshot of `outbox_pending`) for all of them.',
    '',
    table(
      [
        'phase',
        'writes',
        'p50 ms',
        'p99 ms',
        'longest ms',
        `over ${limitMs} ms`,
        'longest fsync beside, ms',
        'longest pause of the writers’ process, ms',
      ],
      ofPhases,
    ),
    '',
    table(['step of the janitor', 'times', 'longest, ms', 'longest write beside it, ms'], ofSteps),
    '',
  ].join('\n');
}

function table(head: readonly string[], lines: readonly (readonly (string | number)[])[]): string {
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

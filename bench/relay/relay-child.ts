import { fork } from 'node:child_process';
import { join } from 'node:path';
import { eventsNodeFlags } from '../../cluster/plan.ts';
import type { DeliveryMode } from '../../relay/options.ts';
import type { RelayTrace } from './trace.ts';

export interface RelaySettings {
  url: string;
  brokers: string[];
  /** Positions are under it, too. */
  topic: string;
  partitions: number;
  delivery: DeliveryMode;
  /** Says `done` when so many rows are deleted. */
  doneAfter?: number;
  /** Notes what it asks of the database and the brokers, and when. */
  traces?: boolean;
}

/** `measure`: what is used counts from now on. */
export type ToRelay = { kind: 'nudge'; buckets: number[] } | { kind: 'measure' } | { kind: 'stop' };

/** Since the start, or since `measure`. */
interface Used {
  elapsedMs: number;
  /** When it began and ended, on the clock of `process.hrtime`, in µs: where it is in a CPU profile. */
  span: [fromUs: number, toUs: number];
  cpuMs: number;
  rssMb: number;
  maxRssMb: number;
}

export type FromRelay =
  | { kind: 'started'; atMs: number }
  | ({ kind: 'done'; atMs: number } & Used)
  | ({ kind: 'end'; trace: RelayTrace | undefined } & Used);

type Of<Kind extends FromRelay['kind']> = Extract<FromRelay, { kind: Kind }>;

/** One relay in a process of its own. `profileFolder`: it leaves a CPU profile there. */
export function startRelayProcess(settings: RelaySettings, profileFolder?: string) {
  const child = fork(join(import.meta.dirname, 'relay-process.ts'), [JSON.stringify(settings)], {
    execArgv: [
      ...process.execArgv,
      ...eventsNodeFlags,
      ...(profileFolder ? ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`] : []),
    ],
  });
  const said = new Map<string, PromiseWithResolvers<FromRelay>>();
  const waitFor = <Kind extends FromRelay['kind']>(kind: Kind): Promise<Of<Kind>> => {
    if (!said.has(kind)) {
      const answer = Promise.withResolvers<FromRelay>();
      answer.promise.catch(() => undefined);
      said.set(kind, answer);
    }
    return said.get(kind)!.promise as Promise<Of<Kind>>;
  };
  for (const kind of ['started', 'done', 'end'] as const) waitFor(kind);
  child.on('message', (message: FromRelay) => said.get(message.kind)!.resolve(message));
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.once('exit', (code) => {
    for (const answer of said.values()) answer.reject(new Error(`the relay process ended (${code}); see above`));
  });
  const tell = (message: ToRelay) => child.send(message);
  return {
    pid: child.pid!,
    waitFor,
    nudge: (buckets: number[]) => tell({ kind: 'nudge', buckets }),
    measure: () => tell({ kind: 'measure' }),
    async stop(): Promise<Of<'end'>> {
      tell({ kind: 'stop' });
      const end = await waitFor('end');
      // A profile is written at the very end.
      await exited;
      return end;
    },
    kill: () => child.kill('SIGKILL'),
  };
}

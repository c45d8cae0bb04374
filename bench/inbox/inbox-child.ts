import { fork } from 'node:child_process';
import { join } from 'node:path';
import { eventsNodeFlags } from '../../cluster/plan.ts';

export interface InboxSettings {
  url: string;
  brokers: string[];
  topic: string;
  /** It ends when so many events are applied. */
  doneAfter: number;
  concurrency: number;
  client: InboxClient;
}

export type InboxClient = 'kafkajs' | 'platformatic';

/** From the first batch that it was handed to the commit of the last event. */
export interface InboxRun {
  tookMs: number;
  cpuMs: number;
  maxRssMb: number;
}

/** One inbox in a process of its own. `profileFolder`: it leaves a CPU profile there. */
export async function runInboxProcess(settings: InboxSettings, profileFolder?: string): Promise<InboxRun> {
  const child = fork(join(import.meta.dirname, 'inbox-process.ts'), [JSON.stringify(settings)], {
    execArgv: [
      ...process.execArgv,
      ...eventsNodeFlags,
      ...(profileFolder ? ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`] : []),
    ],
  });
  return new Promise((resolve, reject) => {
    let run: InboxRun | undefined;
    child.on('message', (message: InboxRun) => {
      run = message;
    });
    // a profile is written at the very end
    child.once('exit', (code) =>
      run ? resolve(run) : reject(new Error(`the inbox process ended (${code}); see above`)),
    );
  });
}

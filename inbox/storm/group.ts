import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { MemberOptions } from './member.ts';

export type MemberFault = 'join' | 'leave' | 'stall' | 'die';

const program = fileURLToPath(new URL('member.ts', import.meta.url));
/** Longer than a member's session of 6 s. */
const stallMs = 8000;
const stopLimitMs = 20_000;

/** A consumer group of processes: three, or two or four for a while. */
export class Group {
  readonly #options: MemberOptions;
  #members: ChildProcess[] = [];

  constructor(options: MemberOptions) {
    this.#options = options;
    for (let count = 0; count < 3; count++) this.#join();
  }

  /** The oldest member is the one that is broken; where it dies or leaves another one comes. */
  async break(fault: MemberFault): Promise<void> {
    switch (fault) {
      case 'join':
        this.#join();
        return;
      case 'leave':
      case 'die': {
        const member = this.#members.shift()!;
        member.kill(fault === 'leave' ? 'SIGTERM' : 'SIGKILL');
        if (this.#members.length < 3) this.#join();
        await gone(member);
        return;
      }
      case 'stall': {
        const [member] = this.#members;
        member!.kill('SIGSTOP');
        await pause(stallMs);
        member!.kill('SIGCONT');
        return;
      }
      default:
        fault satisfies never;
    }
  }

  /** Ends all members, however they are. */
  async stop(): Promise<void> {
    const members = this.#members;
    this.#members = [];
    for (const member of members) {
      member.kill('SIGCONT');
      member.kill('SIGTERM');
    }
    await Promise.race([Promise.all(members.map(gone)), pause(stopLimitMs, null, { ref: false })]);
    for (const member of members) member.kill('SIGKILL');
  }

  #join(): void {
    const member = spawn(process.execPath, [...quietNode, program, JSON.stringify(this.#options)], {
      // its input ends with this process, and then it ends, too
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    this.#members.push(member);
  }
}

const quietNode = ['--disable-warning=ExperimentalWarning', '--disable-warning=TimeoutNegativeWarning'];

async function gone(member: ChildProcess): Promise<void> {
  if (member.exitCode === null && member.signalCode === null) await once(member, 'exit');
}

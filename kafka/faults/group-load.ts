import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { until } from '../../testing/until.ts';
import type { Admin } from '../port.ts';
import type { AdapterName } from './adapters.ts';
import type { ConsumerEvent } from './check-consumed.ts';
import type { MemberFault } from './plan.ts';

export interface MemberOptions {
  adapter: AdapterName;
  brokers: readonly string[];
  topic: string;
  groupId: string;
  name: string;
  /** Where the member writes what it sees. */
  file: string;
}

export interface GroupLoadOptions extends Omit<MemberOptions, 'name' | 'file'> {
  /** For the members' files: empty and the group's own. */
  folder: string;
  admin: Admin;
}

type Timed<Event> = Event & { atNs: bigint };

const program = fileURLToPath(new URL('member.ts', import.meta.url));
/** Longer than a member's session of 6 s. */
const stallMs = 8000;

/** A consumer group of two processes or three, and what befalls them. */
export class GroupLoad {
  readonly #options: GroupLoadOptions;
  readonly #positions: Timed<ConsumerEvent & { kind: 'committed' }>[] = [];
  #members: ChildProcess[] = [];
  #started = 0;
  #watching = true;
  readonly #watch: Promise<void>;

  constructor(options: GroupLoadOptions) {
    this.#options = options;
    this.#join();
    this.#join();
    this.#watch = this.#watchPositions();
  }

  /** The oldest member is the one that is broken; another one takes its place. */
  async break(fault: MemberFault): Promise<void> {
    const member = this.#members.shift()!;
    switch (fault) {
      case 'join':
        this.#members.push(member);
        // Never more than three: then the newcomer is soon followed by the end of the oldest.
        if (this.#members.length > 2) await this.break('leave');
        else this.#join();
        return;
      case 'stall':
        member.kill('SIGSTOP');
        this.#members.push(member);
        await pause(stallMs);
        member.kill('SIGCONT');
        return;
      case 'leave':
      case 'die':
        member.kill(fault === 'leave' ? 'SIGTERM' : 'SIGKILL');
        this.#join();
        await gone(member);
    }
  }

  /** Waits until the group has committed `ends`, ends all members, and answers what happened, in order. */
  async finish(ends: readonly { partition: number; end: bigint }[]): Promise<ConsumerEvent[]> {
    const { admin, groupId, topic } = this.#options;
    try {
      await until(`${groupId} has handled the whole topic`, 90_000, async () => {
        const committed = new Map((await admin.committed(groupId, topic)).map((each) => [each.partition, each.offset]));
        const lacking = ends.filter(({ partition, end }) => (committed.get(partition) ?? 0n) < end);
        if (lacking.length > 0) throw new Error(lacking.map(({ partition }) => partition).join());
        return true;
      });
    } catch {
      // Told by the check: messages are missed.
    }
    await this.stop();
    return this.#events();
  }

  /** Ends the members, however they are. */
  async stop(): Promise<void> {
    this.#watching = false;
    await this.#watch;
    const members = this.#members;
    this.#members = [];
    for (const member of members) {
      member.kill('SIGCONT');
      member.kill('SIGTERM');
    }
    await Promise.all(members.map((member) => Promise.race([gone(member), pause(20_000, null, { ref: false })])));
    for (const member of members) member.kill('SIGKILL');
  }

  #join(): void {
    const { folder, admin: _, ...options } = this.#options;
    const name = `member-${this.#started++}`;
    const member = spawn(
      process.execPath,
      [
        '--disable-warning=ExperimentalWarning',
        '--disable-warning=TimeoutNegativeWarning',
        program,
        JSON.stringify({ ...options, name, file: join(folder, name) } satisfies MemberOptions),
      ],
      // Its input ends with this process, and then it ends, too.
      { stdio: ['pipe', 'ignore', 'inherit'] },
    );
    this.#members.push(member);
  }

  async #watchPositions(): Promise<void> {
    const { admin, groupId, topic } = this.#options;
    while (this.#watching) {
      // While brokers are broken nobody may answer.
      const positions = await admin.committed(groupId, topic).catch(() => []);
      const atNs = process.hrtime.bigint();
      for (const { partition, offset } of positions) {
        if (offset !== null) this.#positions.push({ atNs, kind: 'committed', partition, offset });
      }
      await pause(250);
    }
  }

  #events(): ConsumerEvent[] {
    const seen = readdirSync(this.#options.folder).flatMap((member) =>
      readFileSync(join(this.#options.folder, member), 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => parse(member, line)),
    );
    return [...seen, ...this.#positions].sort((a, b) => (a.atNs < b.atNs ? -1 : a.atNs > b.atNs ? 1 : 0));
  }
}

function parse(member: string, line: string): Timed<ConsumerEvent> {
  const [at, kind, partition, from, next] = line.split(' ') as [string, 'handed' | 'handled', string, string, string];
  const event = { atNs: BigInt(at), member, partition: Number(partition) };
  return (kind as string) === 'owner'
    ? { ...event, kind: 'owner' }
    : { ...event, kind, from: BigInt(from), next: BigInt(next) };
}

async function gone(member: ChildProcess): Promise<void> {
  if (member.exitCode === null && member.signalCode === null) await once(member, 'exit');
}

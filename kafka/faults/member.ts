import { appendFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type AdapterName, connect } from './adapters.ts';
import type { MemberOptions } from './group-load.ts';

/**
 * A member of a consumer group as a process of its own, so that it can be stopped and killed. What it sees goes to a file,
 * line by line and at once: a kill loses none of it. Ends by SIGTERM, or when its parent is gone.
 */
const { adapter, brokers, topic, groupId, name, file } = JSON.parse(process.argv[2]!) as MemberOptions;

/** Monotonic ns, the same clock in all processes of the machine. */
const now = () => process.hrtime.bigint();
const note = (atNs: bigint, kind: string, partition: number, from: bigint | number = 0, next: bigint | number = 0) =>
  appendFileSync(file, `${atNs} ${kind} ${partition} ${from} ${next}\n`);

const consumer = connect(adapter as AdapterName, brokers, name).consumer({
  groupId,
  topics: [topic],
  sessionTimeoutMs: 6000,
  heartbeatIntervalMs: 2000,
  rebalanceTimeoutMs: 10_000,
  maxWaitMs: 200,
  async onBatch({ partition, messages }, { isOwner }) {
    const from = messages[0]!.offset;
    const next = messages.at(-1)!.offset + 1n;
    note(now(), 'handed', partition, from, next);
    for (let step = 0; step < 4; step++) {
      await pause(15);
      // Taken before asking: whoever is stopped in between does not seem to have asked late.
      const askedNs = now();
      if (!isOwner()) throw new Error('the partition is somebody else’s');
      note(askedNs, 'owner', partition);
    }
    note(now(), 'handled', partition, from, next);
    return undefined;
  },
});

let ending = false;
async function end(): Promise<void> {
  if (ending) return;
  ending = true;
  await consumer.stop();
  process.exit(0);
}
process.on('SIGTERM', end);
process.stdin.on('end', end).resume();
await consumer.start();

import { KafkaProxy } from '../../faults/proxy/kafka-proxy.ts';
import type { ProxyMode } from '../../faults/proxy/mode.ts';
import { eventually } from '../../testing/until.ts';
import type { KafkaPort, Publisher } from '../port.ts';
import { type ContractContext, message, values } from './context.ts';

/** What became of messages that were published while the network was broken again and again. */
export interface FaultResult {
  /** Messages that were acknowledged. */
  acknowledged: number;
  /** Acknowledged ones that are not in the topic. */
  lost: string[];
  /** Calls that were given up, in part at least. */
  failures: number;
  /** Messages that are in the topic more than once. */
  doubled: number;
}

const faults: (ProxyMode | 'cut' | 'refuse')[] = [
  { mode: 'swallow' },
  'cut',
  { mode: 'half-open' },
  { mode: 'swallow' },
  'refuse',
  { mode: 'swallow', direction: 'requests' },
  { mode: 'reset' },
];

/**
 * Several callers publish through one publisher while the proxy before the broker breaks in every way, then every
 * acknowledged message is looked for in the topic. `publisherOn` gets a port's brokers behind the proxy.
 */
export async function publishUnderFaults(
  context: ContractContext,
  publisherOn: (brokers: readonly string[]) => Publisher,
  direct: KafkaPort = context.port,
): Promise<FaultResult> {
  const partitions = 3;
  const topic = await context.topic(partitions);
  const proxy = await KafkaProxy.start(context.brokers);
  const publisher = publisherOn(proxy.brokers);
  const acknowledged = new Set<string>();
  let failures = 0;
  let stop = false;

  const caller = async (name: string) => {
    for (let call = 0; !stop; call++) {
      const batch = Array.from({ length: partitions * 3 }, (_, at) =>
        message(topic, at % partitions, `${name}.${call}.${at % partitions}.${at}`),
      );
      const report = await publisher.publish(batch);
      if (report.failed.length > 0) failures++;
      const good = new Set(report.acknowledged.map(({ partition }) => partition));
      for (const { partition, value } of batch) if (good.has(partition)) acknowledged.add(String(value));
      await pause(5);
    }
  };
  const callers = Promise.all(['a', 'b', 'c'].map(caller));
  for (const fault of faults) {
    await pause(150);
    await breakFor(proxy, fault, 350);
  }
  await eventually(() => acknowledged.size > 100).catch(() => undefined); // how many there were is for the test to say
  stop = true;
  await callers;
  await publisher.close();
  await proxy.stop();

  const stored = await readAll(context, topic, direct);
  return {
    acknowledged: acknowledged.size,
    lost: [...acknowledged].filter((value) => !stored.has(value)),
    failures,
    doubled: [...stored.values()].filter((times) => times > 1).length,
  };
}

async function breakFor(proxy: KafkaProxy, fault: ProxyMode | 'cut' | 'refuse', ms: number): Promise<void> {
  if (fault === 'cut') return proxy.cut();
  if (fault === 'refuse') await proxy.refuse();
  else proxy.set(fault);
  await pause(ms);
  if (fault === 'refuse') await proxy.listen();
  proxy.set({ mode: 'pass' });
}

/** How often each value is in the topic. */
async function readAll(context: ContractContext, topic: string, port: KafkaPort): Promise<Map<string, number>> {
  const ends = new Map((await context.admin.offsets(topic)).map(({ partition, end }) => [partition, end]));
  const next = new Map<number, bigint>();
  const stored = new Map<string, number>();
  const consumer = await context.consumer(
    {
      groupId: `${topic}-all`,
      topics: [topic],
      async onBatch({ partition, messages }) {
        for (const value of values(messages)) stored.set(value, (stored.get(value) ?? 0) + 1);
        next.set(partition, messages.at(-1)!.offset + 1n);
        return undefined;
      },
    },
    port,
  );
  await eventually(() => [...ends].every(([partition, end]) => (next.get(partition) ?? 0n) >= end));
  await consumer.stop();
  return stored;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

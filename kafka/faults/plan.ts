import type { ProxyMode } from '../../faults/proxy/mode.ts';
import { SeededRandom } from './random.ts';

/**
 * What happens to a broker: SIGTERM and a start, SIGKILL and a start, SIGSTOP and SIGCONT, or, with all brokers up, other
 * preferred leaders for all partitions, which take over within seconds.
 */
export type ServerFault = 'stop' | 'kill' | 'freeze' | 'move';
export const serverFaults: readonly ServerFault[] = ['stop', 'kill', 'freeze', 'move'];

/** What happens to the connections: a mode of the proxies, resets of what is open, or nobody who listens. */
export type NetworkFault = ProxyMode | 'cut' | 'refuse';
export const networkFaults: readonly NetworkFault[] = [
  'cut',
  'refuse',
  { mode: 'swallow' },
  { mode: 'swallow', direction: 'requests' },
  { mode: 'half-open' },
  { mode: 'hold' },
  { mode: 'reset' },
  { mode: 'delay', ms: 150 },
];

/** What happens to a member of the consumer group: one more, SIGTERM, SIGSTOP for longer than the session, SIGKILL. */
export type MemberFault = 'join' | 'leave' | 'stall' | 'die';
export const memberFaults: readonly MemberFault[] = ['join', 'leave', 'stall', 'die'];

export interface FaultPlan {
  /** One after the other; all copies are in sync again before the next. `broker`: 0 to 2. */
  servers: { fault: ServerFault; broker: number; forMs: number }[];
  /** At the same time; begun anew for as long as servers are broken. `broker`: null for all of them. */
  network: { afterMs: number; fault: NetworkFault; broker: number | null; forMs: number }[];
  /** At the same time, for each group. */
  members: { afterMs: number; fault: MemberFault }[];
}

/** Every fault of each kind at least once a round, in an order and with times that the seed decides. */
export function planFaults(seed: number, { rounds, brokers = 3 }: { rounds: number; brokers?: number }): FaultPlan {
  const random = new SeededRandom(seed);
  const plan: FaultPlan = { servers: [], network: [], members: [] };
  for (let round = 0; round < rounds; round++) {
    for (const fault of random.shuffled(serverFaults)) {
      // A broker that is silent for 3 s loses its partitions: freeze it for less or for more.
      const forMs =
        fault === 'freeze' ? random.between(0, 1) * 3500 + random.between(1000, 2000) : random.between(0, 800);
      plan.servers.push({ fault, broker: random.between(0, brokers - 1), forMs });
    }
    for (const fault of random.shuffled(networkFaults)) {
      const broker = random.next() < 0.5 ? null : random.between(0, brokers - 1);
      plan.network.push({ afterMs: random.between(300, 1200), fault, broker, forMs: random.between(200, 1300) });
    }
    for (const fault of random.shuffled(memberFaults)) plan.members.push({ afterMs: random.between(500, 3000), fault });
  }
  return plan;
}

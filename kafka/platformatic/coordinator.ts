import { findCoordinatorV4, findCoordinatorV5, findCoordinatorV6 } from '@platformatic/kafka';
import { answerWithErrors, errorOfProtocolCode, protocolCode } from './errors.ts';
import type { Wire } from './wire.ts';

const keyTypes = { group: 0, transaction: 1 } as const;

const versions = [findCoordinatorV6.api, findCoordinatorV5.api, findCoordinatorV4.api];

/** The broker that keeps a group's or a transactional id's state. Waits where the cluster is about to say. */
export async function findCoordinator(wire: Wire, kind: 'group' | 'transaction', key: string): Promise<number> {
  const deadline = performance.now() + wire.requestTimeoutMs;
  for (let pauseMs = 20; ; pauseMs = Math.min(500, pauseMs * 2)) {
    const answer = await answerWithErrors(
      wire.request('any', `find the coordinator of ${key}`, versions, [keyTypes[kind], [key]]),
    );
    const { nodeId, host, port, errorCode } = answer.coordinators[0]!;
    if (errorCode === protocolCode.none) {
      wire.learnBroker(nodeId, { host, port });
      return nodeId;
    }
    const error = errorOfProtocolCode(errorCode, `find the coordinator of ${key}`);
    if (!error.retryable || performance.now() + pauseMs > deadline) throw error;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

import type { Config } from '../config/load.ts';

/** One node process of the cluster: what runs in it and where it can be reached. */
export interface PlannedNode {
  nodeId: string;
  role: NodeRole;
  services: string[];
  /** Only on nodes with the gateway. */
  httpPort: number | null;
  opsPort: number;
}

export type NodeRole = 'edge' | 'relay' | 'hot-article';

/**
 * What `npm start` runs. The gateway and the producers share a process (an edge), so that writes never cross Kafka; relays
 * and projectors are apart from them, so that each can be killed or scaled alone.
 */
const roles: readonly { role: NodeRole; services: string[] }[] = [
  { role: 'edge', services: ['api', 'article', 'comment', 'like', 'view', 'hot-list'] },
  { role: 'relay', services: ['relay', 'outbox'] },
  { role: 'hot-article', services: ['hot-article'] },
];

const nodesOfEachRole = 2;

/**
 * Node's flags for the processes through which many events pass, relays and consumers: they make much that is soon garbage. Young spaces
 * of 4 MiB in place of 16 save 120 MB at no measured cost. Events in work outlive them, and V8 lets the old space grow to four times of
 * what lives before it looks: twice saves 50 to 90 of 300 MB more, at a tenth of an inbox's processor time and none of a relay's
 * (`npm run bench -- relay`, `-- inbox`).
 */
export const eventsNodeFlags: readonly string[] = ['--max-semi-space-size=4', '--heap-growing-percent=100'];

/** Node's flags for a role. */
export function nodeFlags(role: NodeRole): readonly string[] {
  return role === 'edge' ? [] : eventsNodeFlags;
}

/** The nodes of a cluster, in the order in which they are to be stopped: what makes events before what applies them. */
export function planCluster(config: Pick<Config, 'httpPort' | 'opsPort'>): PlannedNode[] {
  const nodes: PlannedNode[] = [];
  for (const { role, services } of roles) {
    for (let number = 1; number <= nodesOfEachRole; number++) {
      nodes.push({
        nodeId: `${role}-${number}`,
        role,
        services,
        httpPort: services.includes('api') ? upFrom(config.httpPort, number - 1) : null,
        opsPort: upFrom(config.opsPort, nodes.length),
      });
    }
  }
  return nodes;
}

/** Port 0 means a free one for each node. */
function upFrom(port: number, step: number): number {
  return port === 0 ? 0 : port + step;
}

/** The environment of a node's process: the cluster's settings and what is the node's own. */
export function nodeEnvironment(
  node: PlannedNode,
  shared: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  return {
    ...shared,
    HOTBOARD_NODE_ID: node.nodeId,
    HOTBOARD_SERVICES: node.services.join(','),
    HOTBOARD_OPS_PORT: String(node.opsPort),
    ...(node.httpPort === null ? {} : { HOTBOARD_HTTP_PORT: String(node.httpPort) }),
  };
}

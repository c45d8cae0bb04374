import { fileURLToPath } from 'node:url';
import { removeCluster, writeCluster } from '../stack/cluster-file.ts';
import { nodeEnvironment, nodeFlags, type PlannedNode } from './plan.ts';
import { SupervisedProcess } from './supervised-process.ts';

export interface SupervisorOptions {
  nodes: readonly PlannedNode[];
  /** Environment of all nodes: endpoints, secrets, settings. */
  env: Readonly<Record<string, string | undefined>>;
  /** The data folder, where the running nodes are listed for `stack status`. */
  data: string;
  /** How long a node may drain. */
  shutdownMs: number;
  /** Each line that a node writes, and what the supervisor itself has to say. */
  log(from: string, text: string): void;
}

/** A node that is up. */
export interface RunningNode {
  nodeId: string;
  services: string[];
  pid: number;
  httpPort: number | null;
  opsPort: number;
}

const nodeScript = fileURLToPath(new URL('./node.ts', import.meta.url));
const flags = ['--disable-warning=ExperimentalWarning', '--disable-warning=TimeoutNegativeWarning'];
/** What a killed process may need beyond its own drain. */
const killGraceMs = 2000;

/** Runs the nodes as processes of their own, starts crashed ones again, and stops all of them in order. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #processes = new Map<string, SupervisedProcess>();
  readonly #running = new Map<string, RunningNode>();
  #whenAllReady = Promise.withResolvers<void>();

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** The nodes that are up, with their pids and ports. */
  get running(): RunningNode[] {
    return [...this.#running.values()];
  }

  /** Starts all nodes at once and resolves when each has been ready. Rejects where one can't start with its configuration. */
  async start(): Promise<void> {
    const { nodes, env, log } = this.#options;
    for (const node of nodes) {
      const spec = {
        name: node.nodeId,
        args: [...flags, ...nodeFlags(node.role), nodeScript],
        env: nodeEnvironment(node, env),
      };
      const supervised = new SupervisedProcess(spec, {
        line: log,
        ready: (_name, pid, { httpPort, opsPort }) => this.#up({ ...node, pid, httpPort, opsPort }),
        crashed: (name, how, restartInMs) => this.#crashed(name, how, restartInMs),
      });
      this.#processes.set(node.nodeId, supervised);
      supervised.start();
    }
    await this.#whenAllReady.promise;
  }

  /** Drains and ends all nodes: producers first, so that what they wrote can still be forwarded and applied. */
  async stop(): Promise<void> {
    for (const role of new Set(this.#options.nodes.map((node) => node.role))) {
      const names = this.#options.nodes.filter((node) => node.role === role).map((node) => node.nodeId);
      await Promise.all(
        names.map(async (name) => {
          await this.#processes.get(name)?.stop(this.#options.shutdownMs + killGraceMs);
          this.#running.delete(name);
        }),
      );
    }
    removeCluster(this.#options.data);
  }

  #up({ nodeId, services, pid, httpPort, opsPort }: RunningNode): void {
    this.#running.set(nodeId, { nodeId, services, pid, httpPort, opsPort });
    writeCluster(this.#options.data, this.running);
    if (this.#running.size === this.#options.nodes.length) this.#whenAllReady.resolve();
  }

  #crashed(name: string, how: string, restartInMs: number | null): void {
    if (this.#running.delete(name)) writeCluster(this.#options.data, this.running);
    if (restartInMs === null) {
      this.#whenAllReady.reject(new Error(`${name} can't start with this configuration; its lines above say why.`));
      this.#options.log('supervisor', `${name} ${how}: its configuration is wrong, so it is not started again`);
      return;
    }
    this.#options.log('supervisor', `${name} ${how}; it is started again in ${restartInMs} ms`);
  }
}

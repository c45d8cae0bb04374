import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts';
import { readJson, writeJson } from './state-file.ts';

/** A Moleculer node, as `stack status` shows it. */
export interface ClusterNode {
  nodeId: string;
  services: string[];
  pid: number | null;
  httpPort: number | null;
  opsPort: number | null;
}

/** `<data>/cluster.json`: the nodes that a supervisor runs, and the supervisor itself. */
export interface Cluster extends ProcessIdentity {
  nodes: ClusterNode[];
}

const fileOf = (data: string) => join(data, 'cluster.json');

/** The nodes of the supervisor on a data folder; null where none runs. */
export function readCluster(data: string): Cluster | null {
  const cluster = readJson<Cluster>(fileOf(data));
  return isAlive(cluster) ? cluster : null;
}

/** Writes the nodes of this process, the supervisor. */
export function writeCluster(data: string, nodes: ClusterNode[]): void {
  writeJson(fileOf(data), { ...identify(process.pid)!, nodes } satisfies Cluster);
}

/** Removes the file, where it is this process's. */
export function removeCluster(data: string): void {
  if (readJson<Cluster>(fileOf(data))?.pid === process.pid) rmSync(fileOf(data), { force: true });
}

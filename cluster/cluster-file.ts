import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isAlive, startTimeOf } from './process-identity.ts';

/** What runs, for `stack status` and for a second `npm start`. */
export interface ClusterState {
  pid: number;
  startTime: string;
  nodes: RunningNode[];
}

export interface RunningNode {
  nodeId: string;
  services: readonly string[];
  pid: number;
  httpPort: number | null;
  opsPort: number;
}

export function clusterFile(dataFolder: string): string {
  return join(dataFolder, 'cluster.json');
}

export function writeClusterState(file: string, nodes: RunningNode[]): void {
  const state: ClusterState = { pid: process.pid, startTime: startTimeOf(process.pid) ?? '', nodes };
  mkdirSync(dirname(file), { recursive: true });
  // readers never see half a file
  writeFileSync(`${file}.${process.pid}`, JSON.stringify(state, null, 2));
  renameSync(`${file}.${process.pid}`, file);
}

export function removeClusterState(file: string): void {
  rmSync(file, { force: true });
}

/** The cluster that runs on this data folder; null where none does. */
export function readClusterState(file: string): ClusterState | null {
  try {
    const state = JSON.parse(readFileSync(file, 'utf8')) as ClusterState;
    return isAlive(state) ? state : null;
  } catch {
    return null;
  }
}

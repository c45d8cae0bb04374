import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The parts of a V8 CPU profile that are read here. Times in µs. */
export interface CpuProfile {
  nodes: readonly {
    id: number;
    callFrame: { functionName: string; url: string; lineNumber: number };
    children?: readonly number[];
  }[];
  /** On the clock of `process.hrtime`. */
  startTime: number;
  samples: readonly number[];
  timeDeltas: readonly number[];
}

/** What the time of a process went to. */
export interface Spent {
  /** By whose code it is: self time, and that of the runtime's own functions that this code called. The largest first. */
  areas: { area: string; us: number }[];
  /** The functions with the most self time. */
  functions: { where: string; us: number }[];
  idleUs: number;
}

/** `from`, `to`: only this part, on the clock of `process.hrtime`, in µs. */
function spentIn(profile: CpuProfile, from = 0, to = Number.POSITIVE_INFINITY): Spent {
  const areas = new Map<string, number>();
  const functions = new Map<string, number>();
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const areaOf = new Map<number, string>();
  const visit = (id: number, caller: string) => {
    const { callFrame, children = [] } = nodes.get(id)!;
    const area = areaOfFrame(callFrame) ?? caller;
    areaOf.set(id, area);
    for (const child of children) visit(child, area);
  };
  visit(profile.nodes[0]!.id, 'the runtime: events, timers, streams');
  let [atUs, idleUs] = [profile.startTime, 0];
  for (const [index, id] of profile.samples.entries()) {
    const us = profile.timeDeltas[index] ?? 0;
    atUs += us;
    if (atUs < from || atUs > to) continue;
    const { callFrame } = nodes.get(id)!;
    if (callFrame.functionName === '(idle)') {
      idleUs += us;
      continue;
    }
    add(areas, areaOf.get(id)!, us);
    add(functions, nameOf(callFrame), us);
  }
  const sorted = (map: ReadonlyMap<string, number>) => [...map].sort(([, a], [, b]) => b - a);
  return {
    areas: sorted(areas).map(([area, us]) => ({ area, us })),
    functions: sorted(functions).map(([where, us]) => ({ where, us })),
    idleUs,
  };
}

/** Of the last profile in the folder, between two times. */
export function spentBy(folder: string | undefined, span: [fromUs: number, toUs: number]): Spent | null {
  const profile = folder === undefined ? undefined : readProfiles(folder).at(-1)?.profile;
  return profile ? spentIn(profile, ...span) : null;
}

/** All profiles of a folder, by their file's name. */
function readProfiles(folder: string): { name: string; profile: CpuProfile }[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.cpuprofile'))
    .sort()
    .map((name) => ({ name, profile: JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile }));
}

type Frame = CpuProfile['nodes'][number]['callFrame'];

/** Null: the runtime's, on behalf of whoever called it. */
function areaOfFrame({ functionName, url }: Frame): string | null {
  if (functionName === '(garbage collector)') return 'garbage collection';
  if (functionName === '(program)') return 'outside of JavaScript: sockets, the loop, the compiler';
  if (url === '' || url.startsWith('node:')) return null;
  const module = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  if (module) return module;
  const [, folder, part] = /\/(relay|kafka|events|bench)\/([^/]+)/.exec(url) ?? [];
  if (folder === 'bench') return 'the bench itself';
  return folder === undefined ? 'else' : part!.endsWith('.ts') ? folder : `${folder}/${part}`;
}

function nameOf({ functionName, url, lineNumber }: Frame): string {
  const file = url.replace(/^.*\/(?=[^/]+\/[^/]+$)/, '');
  return `${functionName || '(anonymous)'}${file ? ` ${file}:${lineNumber + 1}` : ''}`;
}

function add(sums: Map<string, number>, name: string, us: number): void {
  sums.set(name, (sums.get(name) ?? 0) + us);
}

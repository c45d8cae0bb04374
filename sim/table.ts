import type { Met } from './faults.ts';
import { faultKinds } from './plan.ts';

/** Decisions and steps (rows) by fault (columns, by number): how often they met. */
export function table(met: Met): string {
  const columns = ['none', ...faultKinds];
  const names = [...met.keys()].sort(
    (a, b) => Number(a.startsWith('step ')) - Number(b.startsWith('step ')) || (a < b ? -1 : 1),
  );
  const first = Math.max(8, ...names.map((name) => name.length));
  const width = 7;
  const line = (name: string, cells: readonly string[]) =>
    name.padEnd(first) + cells.map((cell) => cell.padStart(width)).join('');
  return [
    ...columns.map((fault, index) => `${String(index).padStart(2)} ${fault}`),
    '',
    line(
      'decision, or step',
      columns.map((_, index) => String(index)),
    ),
    ...names.map((name) =>
      line(
        name,
        columns.map((_, index) => short(met.get(name)![index]!)),
      ),
    ),
  ].join('\n');
}

function short(count: number): string {
  if (count === 0) return '.';
  return count < 100_000 ? String(count) : `${Math.round(count / 1000)}k`;
}

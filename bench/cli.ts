import type { Bench } from './bench.ts';

// `npm run bench -- NAME [--json] [options of the bench]`: prints a table; with --json one JSON object on the last line.

const benches: Record<string, () => Promise<{ default: Bench }>> = {
  e2e: () => import('./e2e.ts'),
  hot: () => import('./hot.ts'),
  inbox: () => import('./inbox.ts'),
  relay: () => import('./relay.ts'),
  transporter: () => import('./transporter.ts'),
};

const [name, ...options] = process.argv.slice(2);
const load = name === undefined ? undefined : benches[name];
if (load === undefined) {
  console.error(`usage: npm run bench -- ${Object.keys(benches).join('|')} [--json]`);
  process.exit(64);
}
const { default: bench } = await load();
const result = await bench.run(options.filter((option) => option !== '--json'));
console.log(`\n${bench.title}`);
console.table(result.rows);
for (const { title, rows } of result.more ?? []) {
  console.log(`\n${title}`);
  console.table(rows);
}
for (const note of result.notes ?? []) console.log(note);
if (options.includes('--json')) console.log(JSON.stringify({ bench: name, ...result.figures }));
process.exit(0);

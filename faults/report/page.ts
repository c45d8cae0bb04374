import type { RunResult, StageResult } from '../figures/result.ts';
import { faultsOf } from '../figures/result.ts';

/** A page in one file with a time line of each board: throughput, backlog, lag, and the faults as bands. Pure. */
export function pageOf(run: RunResult): string {
  const wrong = faultsOf(run);
  const verdict =
    wrong.length === 0
      ? 'green'
      : `red: ${wrong
          .slice(0, 40)
          .map((line) => escaped(line.slice(0, 300)))
          .join('<br>')}`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Hotboard, fault run ${run.plan.seed}</title>
<style>
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }
svg { width: 100%; height: auto; border: 1px solid #ddd; margin: .5rem 0 1.5rem; }
text { font: 11px system-ui, sans-serif; fill: #444; }
.green { color: #176b2c; } .red { color: #a11; }
</style></head><body>
<h1>Fault run, seed ${run.plan.seed} (${run.plan.mode})</h1>
<p class="${wrong.length === 0 ? 'green' : 'red'}">${verdict}</p>
<p>${run.ok} changes ok, ${run.failed} refused, ${run.unknown} unknown, ${(run.tookMs / 60_000).toFixed(1)} minutes on ${escaped(run.machine)}.</p>
${run.stages.map(stageOf).join('\n')}
</body></html>
`;
}

const width = 1400;
const laneHeight = 110;
const left = 70;
const top = 70;

function stageOf(stage: StageResult): string {
  const { samples, slots } = stage;
  const title = `<h2>${stage.kafkaNodes === 1 ? 'One broker' : `${stage.kafkaNodes} brokers`}</h2>`;
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last) return title;
  const x = (atMs: number) => left + ((atMs - first.atMs) / Math.max(1, last.atMs - first.atMs)) * (width - left - 10);
  const lanes = [
    { name: 'ok answers/s', colour: '#176b2c', value: smoothed(samples.map(({ okPerSecond }) => okPerSecond)) },
    { name: 'unsent events', colour: '#b35900', value: samples.map(({ backlog }) => backlog) },
    { name: 'unapplied events', colour: '#1f5fa8', value: samples.map(({ lag }) => lag) },
    { name: 'not ok answers', colour: '#a11', value: samples.map(({ notOk }) => notOk) },
  ];
  const height = top + lanes.length * laneHeight + 30;
  const bands = slots.map((slot, index) => {
    const [from, healed] = [x(slot.startedMs), x(slot.healedMs)];
    const recovered = slot.recoverMs === null ? x(slot.endedMs) : x(slot.startedMs + slot.recoverMs);
    const labelY = 14 + (index % 4) * 13;
    return `<g><title>${escaped(`${slot.number}. ${slot.title}: ${slot.seen.join('; ')}`)}</title>
<rect x="${at(from)}" y="${top}" width="${at(Math.max(1, healed - from))}" height="${lanes.length * laneHeight}" fill="#c33" opacity=".16"/>
<rect x="${at(healed)}" y="${top}" width="${at(Math.max(0, recovered - healed))}" height="${lanes.length * laneHeight}" fill="#e9a400" opacity=".16"/>
<line x1="${at(from)}" x2="${at(from)}" y1="${labelY + 2}" y2="${height - 30}" stroke="#c33" stroke-width=".6"/>
<text x="${at(from + 2)}" y="${labelY}">${slot.number}. ${escaped(slot.title)}</text></g>`;
  });
  const curves = lanes.map(({ name, colour, value }, lane) => {
    const highest = Math.max(1, ...value);
    const base = top + (lane + 1) * laneHeight - 8;
    const points = value.map(
      (y, index) => `${at(x(samples[index]!.atMs))},${at(base - (y / highest) * (laneHeight - 24))}`,
    );
    return `<text x="4" y="${base - laneHeight + 26}">${name}</text><text x="4" y="${base - laneHeight + 40}">most ${Math.round(highest)}</text>
<line x1="${left}" x2="${width - 10}" y1="${base}" y2="${base}" stroke="#ccc"/>
<polyline fill="none" stroke="${colour}" stroke-width="1.2" points="${points.join(' ')}"/>`;
  });
  const minutes = Math.floor((last.atMs - first.atMs) / 60_000);
  const ticks = Array.from({ length: minutes + 1 }, (_, minute) => {
    const place = x(first.atMs + minute * 60_000);
    return `<text x="${at(place)}" y="${height - 10}">${minute} min</text>`;
  });
  return `${title}<p>Red: something is broken. Yellow: until all figures are as before.</p>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="Throughput, backlog and lag over time, with the faults">${bands.join('\n')}${curves.join('\n')}${ticks.join('')}</svg>`;
}

/** Over about two seconds: calls are few. */
function smoothed(values: readonly number[]): number[] {
  return values.map((_, index) => {
    const some = values.slice(Math.max(0, index - 7), index + 1);
    return some.reduce((sum, value) => sum + value, 0) / some.length;
  });
}

function at(place: number): string {
  return place.toFixed(1);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

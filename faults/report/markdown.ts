import { holds } from '../figures/moments.ts';
import { faultsOf, type RunResult, type SlotResult } from '../figures/result.ts';

/** The report for people and for the repository. Pure. */
export function markdownOf(run: RunResult): string {
  const { plan, stages, limits } = run;
  const wrong = faultsOf(run);
  const factor = run.deadlineFactor === 1 ? '' : ` --deadline-factor ${run.deadlineFactor}`;
  const total = (of: (slot: SlotResult) => number) =>
    stages.flatMap(({ slots }) => slots).reduce((sum, slot) => sum + of(slot), 0);
  const share = (100 * run.unknown) / Math.max(1, run.ok + run.unknown);
  return `${[
    `# Fault run, seed ${plan.seed} (${plan.mode})`,
    '',
    `\`npm run faults -- ${plan.mode === 'short' ? '--short ' : ''}--seed ${plan.seed}${factor}\`, ${(run.tookMs / 60_000).toFixed(1)} minutes on ${run.machine}.`,
    '',
    wrong.length === 0 ? '**Green.**' : `**Red**, ${wrong.length} times:\n\n${shortened(wrong)}`,
    '',
    `- Changes made by clients: ${run.ok} ok, ${run.failed} refused, ${run.unknown} unknown (${share.toFixed(2)} %).`,
    `- Effects over all slots: **${total(({ lost }) => lost)} lost, ${total(({ duplicated }) => duplicated)} duplicated, ${total(({ outOfOrder }) => outOfOrder)} out of order** of ${total(({ events }) => events)} events; ${total(({ copiesInTopic }) => copiesInTopic)} further copies in the topics, which at-least-once delivery allows and the inbox absorbs.`,
    `- Load, at which the healthy board keeps up here: ${stages.map(baselineOf).join('; ')}.`,
    '',
    '## Promised times',
    '',
    ...(run.deadlineFactor === 1 ? [] : [`"At most" is ${run.deadlineFactor} times what is promised.`, '']),
    '| promise | at most | measured | longest | median | holds |',
    '|---|---|---|---|---|---|',
    ...limits
      .filter(({ valuesMs, needed }) => valuesMs.length > 0 || needed > 0)
      .map((limit) => {
        const sorted = [...limit.valuesMs].sort((a, b) => a - b);
        const [longest, median] = [sorted.at(-1), sorted[Math.floor(sorted.length / 2)]];
        return `| ${limit.title} | ${seconds(limit.limitMs)} | ${sorted.length} times | ${seconds(longest)} | ${seconds(median)} | ${holds(limit) ? 'yes' : '**no**'} |`;
      }),
    ...restartRow(stages.flatMap(({ slots }) => slots.filter(({ noFailureAllowed }) => noFailureAllowed))),
    '',
    ...stages.flatMap(({ kafkaNodes, slots }) => [
      `## Faults with ${kafkaNodes === 1 ? 'one broker' : `${kafkaNodes} brokers`}`,
      '',
      'Detected: until backlog, lag or answers left what they are when all is well. Recovered: until all were back for good.',
      'Both from the beginning of the fault, which itself takes as long as the fourth column says.',
      '',
      '| # | fault | hits | took | detected | recovered | in flight | lost | duplicated | out of order | copies | calls ok / refused / unknown | machine load |',
      '|---|---|---|---|---|---|---|---|---|---|---|---|---|',
      ...slots.map(
        (slot) =>
          `| ${slot.number} | ${slot.title} | ${slot.hits} | ${seconds(slot.healedMs - slot.startedMs)} | ${slot.detectMs === null ? 'not noticed' : seconds(slot.detectMs)} | ${slot.detectMs === null ? '–' : seconds(slot.recoverMs ?? undefined)} | ${slot.inFlight} | ${slot.lost} | ${slot.duplicated} | ${slot.outOfOrder} | ${slot.copiesInTopic} | ${slot.ok} / ${slot.failed} / ${slot.unknown} | ${slot.machineLoad.toFixed(1)} |`,
      ),
      '',
      'What was seen of each:',
      '',
      ...slots.map(({ number, seen }) => `${number}. ${seen.join('; ') || 'nothing'}.`),
      '',
    ]),
  ].join('\n')}`;
}

/** What is promised of calls stands beside what is promised of times. */
function restartRow(slots: readonly SlotResult[]): string[] {
  if (slots.length === 0) return [];
  const failures = slots.map(({ failed, unknown }) => failed + unknown);
  const calls = slots.reduce((sum, { ok, failed, unknown }) => sum + ok + failed + unknown, 0);
  const longest = Math.max(...failures);
  const median = [...failures].sort((a, b) => a - b)[Math.floor(failures.length / 2)];
  return [
    `| every node restarted: calls without a good answer | 0 | ${slots.length} times, ${calls} calls | ${longest} | ${median} | ${longest === 0 ? 'yes' : '**no**'} |`,
  ];
}

const mostLines = 40;
const longestLine = 300;

function shortened(wrong: readonly string[]): string {
  const lines = wrong
    .slice(0, mostLines)
    .map((line) => `- ${line.length > longestLine ? `${line.slice(0, longestLine)} …` : line}`);
  if (wrong.length > mostLines) lines.push(`- … and ${wrong.length - mostLines} more`);
  return lines.join('\n');
}

function baselineOf({ kafkaNodes, callsPerSecond, baseline }: RunResult['stages'][number]): string {
  const name = kafkaNodes === 1 ? 'one broker' : `${kafkaNodes} brokers`;
  return `${name}, ${callsPerSecond} calls/s: ${baseline.okPerSecond.toFixed(1)} answers/s, applied after ${Math.round(baseline.shownMs)} ms in the median`;
}

function seconds(ms: number | undefined): string {
  if (ms === undefined || !Number.isFinite(ms)) return 'never';
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

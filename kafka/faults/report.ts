import type { FaultResult } from './run.ts';
import { violationsOf } from './violations.ts';

/** A table of what publishers were told and what the topics hold, one line for each seed and adapter; then the others. */
export function reportOf(results: readonly FaultResult[]): string {
  const consumed = results.flatMap(({ consumed, ...rest }) => (consumed ? [{ ...rest, consumed }] : []));
  const transacted = results.flatMap(({ transactions, ...rest }) => (transactions ? [{ ...rest, transactions }] : []));
  const guarded = results.filter(({ adapter }) => adapter !== 'kafkajs without guard');
  const violations = guarded.flatMap(violationsOf);
  return [
    '## Published',
    '',
    table(
      ['adapter', 'seed', 'acknowledged', 'lost', 'out of order', 'wrong answers', 'doubled', 'failed'],
      results.map(
        ({ adapter, seed, published: { acknowledged, lost, outOfOrder, phantom, foreign, doubled, failed } }) => [
          adapter,
          seed,
          acknowledged,
          lost.length,
          outOfOrder.length,
          phantom.length + foreign.length,
          doubled,
          failed,
        ],
      ),
    ),
    '',
    '## Consumed',
    '',
    table(
      ['adapter', 'seed', 'batches', 'missed', 'skipped', 'committed past', 'two owners', 'messages handled again'],
      consumed.map(({ adapter, seed, consumed: { batches, missed, skipped, committedPast, twoOwners, repeated } }) => [
        adapter,
        seed,
        batches,
        missed.length,
        skipped.length,
        committedPast.length,
        twoOwners.length,
        repeated,
      ]),
    ),
    '',
    '## Transactions',
    '',
    table(
      [
        'adapter',
        'seed',
        'committed',
        'lost',
        'torn',
        'doubled',
        'gaps',
        'not fenced',
        'unknown (committed)',
        'refused',
        'zombies',
      ],
      transacted.map(({ adapter, seed, transactions }) => [
        adapter,
        seed,
        transactions.committed,
        transactions.lost.length,
        transactions.torn.length,
        transactions.doubled.length,
        transactions.outOfOrder.length,
        transactions.unfenced.length,
        `${transactions.unknown} (${transactions.unknownCommitted})`,
        transactions.refused,
        transactions.zombies,
      ]),
    ),
    '',
    ...(violations.length === 0
      ? ['Both adapters: nothing that may not be.']
      : ['What may not be:', '', ...violations.map((line) => `- ${line}`)]),
    '',
  ].join('\n');
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

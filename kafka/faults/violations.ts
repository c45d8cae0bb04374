import type { FaultResult } from './run.ts';

/** All that may not be, in words; empty for a run in which everything held. */
export function violationsOf({ adapter, seed, published, consumed, transactions }: FaultResult): string[] {
  const { lost, phantom, foreign, outOfOrder } = published;
  const found = Object.entries({ lost, phantom, foreign, outOfOrder });
  if (consumed) {
    const { missed, skipped, committedPast, twoOwners } = consumed;
    found.push(...Object.entries({ missed, skipped, committedPast, twoOwners }));
  }
  if (transactions) {
    const { lost, torn, unfenced, doubled, outOfOrder } = transactions;
    const inTransactions = Object.entries({ lost, torn, unfenced, doubled, outOfOrder });
    found.push(...inTransactions.map(([what, where]): [string, string[]] => [`in transactions ${what}`, where]));
  }
  return found.flatMap(([what, where]) =>
    where.length === 0 ? [] : [`${adapter}, seed ${seed}: ${what} ${where.length}: ${where.slice(0, 5).join('; ')}`],
  );
}

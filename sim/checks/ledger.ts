import type { FinalState, Happening } from '../history.ts';
import { byAggregate, type Violation } from './violation.ts';

/** Versions of the ledger, and what clients were told of it. */
export function ledgerAndClients(history: readonly Happening[], { ledger }: FinalState): Violation[] {
  const found: Violation[] = [];
  for (const [aggregate, rows] of byAggregate(ledger)) {
    const versions = rows.map(({ version }) => version).sort((a, b) => a - b);
    const wrong = versions.findIndex((version, index) => version !== index + 1);
    if (wrong < 0) continue;
    const detail = `the committed versions of ${aggregate} go ${versions.slice(0, wrong + 1).join(', ')}`;
    found.push({ invariant: 'versions are monotone', detail, aggregate });
  }
  const committed = new Set(ledger.map(({ event }) => event));
  for (const each of history) {
    if (each.kind !== 'client' || each.op === 'invoke' || each.op === 'info') continue;
    const isCommitted = each.event !== undefined && committed.has(each.event);
    if (isCommitted === (each.op === 'ok')) continue;
    const detail = `call ${each.call} was answered ${each.op}, and its change is ${isCommitted ? '' : 'not '}in the database`;
    found.push({ invariant: 'known outcome', detail, aggregate: each.aggregate });
  }
  return found;
}

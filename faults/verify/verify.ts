import { boardSources } from '../../events/board.ts';
import { check } from '../../sim/checker.ts';
import { consumers, type Evidence, finalStateOf, historyOf } from './histories.ts';
import { checkProducers, type Finding } from './own-checks.ts';

/** While nothing is broken, what waits moves within so long. A consumer's session and a lease fit in. */
const progressMs = 30_000;

/** Everything that is checked on one board's evidence. `deadlineFactor`: see `Options`. Pure. */
export function verify(evidence: Evidence, deadlineFactor = 1): Finding[] {
  const found: Finding[] = [...checkProducers(evidence.observed, evidence.calls)];
  for (const consumer of consumers) {
    for (const source of boardSources) {
      // how many calls and faults there have to be is counted over the whole run (verdict.ts)
      const options = { minimumOk: 0, minimumFaults: 0, maximumInfoShare: 1 };
      const mode = consumer === 'auditor' ? ('sequence' as const) : ('state' as const);
      const violations = check(historyOf(evidence, source, consumer), finalStateOf(evidence, source, consumer), {
        mode,
        progressMs: deadlineFactor * progressMs,
        ...options,
      });
      for (const { invariant, detail } of violations) {
        found.push({ what: invariant, detail: `${source}, ${consumer}: ${detail}` });
      }
    }
  }
  return found;
}

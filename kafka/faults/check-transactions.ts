/** One call of `transaction`: the same id went to every partition. */
export interface TransactionCall {
  id: string;
  /**
   * `committed`: it resolved. `unknown`: KAFKA_COMMIT_UNKNOWN. `refused`: any other error, followed by a fence. `zombie`: by a
   * holder after a newer one's fence had resolved, whatever it answered.
   */
  outcome: 'committed' | 'unknown' | 'refused' | 'zombie';
  /** Only for a zombie: it was told that it had committed. */
  believed?: boolean;
  /** The number that follows the position that was read after the fence. */
  number: number;
}

export interface TransactionsVerdict {
  committed: number;
  unknown: number;
  /** Unknown ones that turned out to be committed. */
  unknownCommitted: number;
  refused: number;
  zombies: number;
  /** Committed, but not in every partition. */
  lost: string[];
  /** Of one call, in some partitions only. */
  torn: string[];
  /** Seen, though refused or sent by a zombie; or a zombie that believes it committed. */
  unfenced: string[];
  doubled: string[];
  /** Numbers of what is seen do not follow each other: the position that was read was not the last one. */
  outOfOrder: string[];
}

/** Pure. `seen`: ids of each partition in the order in which a read-committed consumer sees them. */
export function checkTransactions(
  calls: readonly TransactionCall[],
  seen: readonly (readonly string[])[],
): TransactionsVerdict {
  const of = (outcome: TransactionCall['outcome']) => calls.filter((call) => call.outcome === outcome);
  const times = seen.map((ids) => {
    const counts = new Map<string, number>();
    for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
    return counts;
  });
  const presence = ({ id }: TransactionCall) => times.filter((counts) => counts.has(id)).length;
  const byId = new Map(calls.map((call) => [call.id, call]));
  const verdict: TransactionsVerdict = {
    committed: of('committed').length,
    unknown: of('unknown').length,
    unknownCommitted: of('unknown').filter((call) => presence(call) > 0).length,
    refused: of('refused').length,
    zombies: of('zombie').length,
    lost: of('committed').flatMap((call) => (presence(call) < seen.length ? [call.id] : [])),
    torn: calls.flatMap((call) => (presence(call) % seen.length === 0 ? [] : [call.id])),
    unfenced: [...of('refused'), ...of('zombie')].flatMap((call) =>
      presence(call) > 0 || call.believed ? [call.id] : [],
    ),
    doubled: times.flatMap((counts, partition) =>
      [...counts].filter(([, count]) => count > 1).map(([id]) => `${partition}/${id}`),
    ),
    outOfOrder: [],
  };
  for (const [partition, ids] of seen.entries()) {
    for (const [at, id] of ids.entries()) {
      const number = byId.get(id)?.number;
      if (number !== at + 1) verdict.outOfOrder.push(`${partition}/${id} is the ${at + 1}th`);
    }
  }
  return verdict;
}

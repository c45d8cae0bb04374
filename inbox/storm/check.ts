/** What was published: the versions 1 to `versions` of each aggregate, and messages that are no events. */
export interface Published {
  versions: ReadonlyMap<string, number>;
  poison: number;
}

/** What the handlers did, in order, as their own table says: it has no key that could refuse a second effect. */
export interface Effect {
  aggregateId: string;
  version: number;
}

/** What was true at one time: a committed offset, and how many messages before it were effected, parked or dead letters. */
export interface Sample {
  partition: number;
  committed: number;
  settled: number;
}

/** An independent recount; answers what is wrong, in words. */
export function checkStorm(
  published: Published,
  effects: readonly Effect[],
  deadLetters: number,
  samples: readonly Sample[],
): string[] {
  const wrong: string[] = [];
  const last = new Map<string, number>();
  for (const { aggregateId, version } of effects) {
    const expected = (last.get(aggregateId) ?? 0) + 1;
    if (version !== expected)
      wrong.push(`${aggregateId}: the effect of version ${version} came in place of ${expected}`);
    last.set(aggregateId, version);
  }
  for (const [aggregateId, versions] of published.versions) {
    const reached = last.get(aggregateId) ?? 0;
    if (reached !== versions) wrong.push(`${aggregateId}: ${reached} of ${versions} versions have an effect`);
  }
  if (deadLetters !== published.poison) wrong.push(`${deadLetters} dead letters in place of ${published.poison}`);
  for (const { partition, committed, settled } of samples) {
    if (settled < committed) {
      wrong.push(
        `partition ${partition}: offset ${committed} was committed while only ${settled} messages were settled`,
      );
    }
  }
  return wrong;
}

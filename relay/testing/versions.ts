/** What is wrong with the versions of each key as a reader found them: nothing missing, first appearances ascending. */
export function wrongVersions(
  found: ReadonlyMap<string, readonly number[]>,
  expected: ReadonlyMap<string, number>,
  { once }: { once: boolean },
): string[] {
  const wrong: string[] = [];
  for (const [key, count] of expected) {
    const versions = found.get(key) ?? [];
    const seen = once ? versions : [...new Set(versions)];
    const at = Array.from({ length: Math.max(count, seen.length) }).findIndex((_, index) => seen[index] !== index + 1);
    if (at >= 0)
      wrong.push(`${key}: ${count} versions; found … ${seen.slice(Math.max(0, at - 3), at + 4).join(', ')} …`);
  }
  return wrong;
}

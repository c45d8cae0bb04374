import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';

/** A line of docs/guarantees.md that names a test: its file and its title. */
const line = /^- `([^`]+\.spec\.ts)`: "(.+)"( \(.+\))?$/;

const text = readFileSync('docs/guarantees.md', 'utf8');
const named = text.split('\n').flatMap((each) => {
  const [, file, title] = line.exec(each) ?? [];
  return file === undefined ? [] : [{ file, title: title! }];
});

describe('docs/guarantees.md', () => {
  it.each(named)('names a test that exists: $file: $title', ({ file, title }) => {
    const found = readFileSync(file, 'utf8');
    expect(found).toMatch(new RegExp(`['"\`]${title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}['"\`],`));
  });

  it('shows each guarantee by a test and says what is not guaranteed', () => {
    const sections = text.split('\n## ').slice(1);
    expect(sections.length).toBeGreaterThan(5);
    for (const section of sections) {
      const title = section.split('\n')[0];
      expect({ title, tests: section.split('\n').some((each) => line.test(each)) }).toEqual({ title, tests: true });
      expect({ title, limits: section.includes('**Not guaranteed.**') }).toEqual({ title, limits: true });
    }
  });

  it('has no line with a spec file that is not read here', () => {
    const mentioned = text.split('\n').filter((each) => /^- `.*\.spec\.ts`/.test(each));
    expect(mentioned).toHaveLength(named.length);
  });
});

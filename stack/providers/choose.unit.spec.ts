import { describe, expect, it } from '@jest/globals';
import type { Product, Provider } from '../types.ts';
import { type Choice, chooseProviders } from './choose.ts';

interface World {
  named?: Product[];
  docker?: boolean;
  installed?: Product[];
  embedded?: Product[];
  last?: Choice['last'];
  forced?: Provider | 'auto';
}

const all: Product[] = ['mysql', 'redis', 'kafka'];

function choose(world: World) {
  const asked: string[] = [];
  const has = (list: Product[] | undefined, product: Product) => (list?.includes(product) ? null : 'is missing');
  const choice = chooseProviders({
    forced: world.forced ?? 'auto',
    last: world.last ?? {},
    checks: {
      external: (product) => has(world.named, product),
      docker: async (wanted) => {
        asked.push(`docker ${wanted.join(' ')}`);
        return world.docker ? null : 'no engine';
      },
      installed: async (product) => has(world.installed, product),
      embedded: async (product) => has(world.embedded, product),
    },
  });
  return { choice, asked };
}

describe('choosing what gives each server', () => {
  it('uses named endpoints and asks nothing else where all are named', async () => {
    const { choice, asked } = choose({ named: all, docker: true });
    expect(await choice).toEqual({ mysql: 'external', redis: 'external', kafka: 'external' });
    expect(asked).toEqual([]);
  });

  it('asks Docker for exactly what no endpoint names', async () => {
    const { choice, asked } = choose({ named: ['mysql'], docker: true, embedded: all });
    expect(await choice).toEqual({ mysql: 'external', redis: 'docker', kafka: 'docker' });
    expect(asked).toEqual(['docker redis kafka']);
  });

  it('prefers installed servers to embedded ones, each by itself', async () => {
    const { choice } = choose({ installed: ['redis'], embedded: all });
    expect(await choice).toEqual({ mysql: 'embedded', redis: 'installed', kafka: 'embedded' });
  });

  it('stays with what the data folder was run with, without asking Docker', async () => {
    const last = { mysql: 'embedded', redis: 'embedded', kafka: 'embedded' } as const;
    const { choice, asked } = choose({ docker: true, installed: all, embedded: all, last });
    expect(await choice).toEqual(last);
    expect(asked).toEqual([]);
  });

  it('goes on to the next way where what the data folder was run with is gone', async () => {
    const { choice } = choose({ installed: [], embedded: all, last: { mysql: 'installed', redis: 'installed' } });
    expect(await choice).toEqual({ mysql: 'embedded', redis: 'embedded', kafka: 'embedded' });
  });

  it.each<[Provider, Record<Product, Provider>]>([
    ['docker', { mysql: 'docker', redis: 'docker', kafka: 'docker' }],
    ['installed', { mysql: 'installed', redis: 'installed', kafka: 'embedded' }],
    ['embedded', { mysql: 'embedded', redis: 'embedded', kafka: 'embedded' }],
  ])('does as it is told: %s', async (forced, expected) => {
    const { choice } = choose({ forced, docker: true, installed: ['mysql', 'redis'], embedded: all });
    expect(await choice).toEqual(expected);
  });

  it('does not fall back where a way is forced', async () => {
    await expect(choose({ forced: 'docker', embedded: all }).choice).rejects.toMatchObject({
      code: 'STACK_NO_PROVIDER',
    });
    await expect(choose({ forced: 'installed', embedded: all }).choice).rejects.toThrow(/way to get mysql, redis /);
    await expect(choose({ forced: 'external', named: ['redis'], embedded: all }).choice).rejects.toThrow(
      /way to get mysql, kafka \(HOTBOARD_STACK is external\)/,
    );
  });

  it('names in one message each way and what it lacks for which server', async () => {
    await expect(choose({ named: ['redis'], installed: ['mysql'], embedded: ['mysql'] }).choice).rejects.toMatchObject({
      message: [
        'There is no way to get kafka:',
        '  external: mysql, kafka: is missing',
        '  docker: no engine',
        '  installed: kafka: is missing',
        '  embedded: kafka: is missing',
      ].join('\n'),
    });
  });
});

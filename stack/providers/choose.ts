import { StackError } from '../errors.ts';
import { type Product, type Provider, products } from '../types.ts';

/** What a way lacks for a product; null: it can be had this way. */
export type Lack = string | null;

export interface ProviderChecks {
  external(product: Product): Lack;
  /** Docker runs all that are asked for, or none. */
  docker(wanted: readonly Product[]): Promise<Lack>;
  installed(product: Product): Promise<Lack>;
  embedded(product: Product): Promise<Lack>;
}

export interface Choice {
  /** HOTBOARD_STACK. */
  forced: Provider | 'auto';
  /** What the data folder was run with the last time: another way would show other data. */
  last: Partial<Record<Product, Provider>>;
  checks: ProviderChecks;
}

/**
 * Decides what gives each product. An endpoint that is named is always used. `auto` tries what the data folder was run
 * with, then Docker (for all that is left), then installed, then embedded ones; each check is made only when it is needed.
 * Throws `STACK_NO_PROVIDER`: one message with each way and what it lacks for which product.
 */
export async function chooseProviders(choice: Choice): Promise<Record<Product, Provider>> {
  const { forced, checks } = choice;
  const chosen: Partial<Record<Product, Provider>> = {};
  const lacks: string[] = [];
  const left = () => products.filter((product) => chosen[product] === undefined);

  await tryEach('external', left(), async (product) => checks.external(product));
  if (forced === 'external') return complete();

  if (forced === 'auto') await tryLast();
  const otherwise = left().every((product) => keepsOtherData(choice.last[product]));
  if (forced === 'docker' || (forced === 'auto' && left().length > 0 && !otherwise)) await tryDocker();
  if (forced === 'installed' || forced === 'auto') await tryEach('installed', left(), checks.installed);
  // Kafka is Java on any machine: forcing installed servers means the other two.
  const embedded = forced === 'installed' ? left().filter((product) => product === 'kafka') : left();
  if (forced !== 'docker') await tryEach('embedded', embedded, checks.embedded);
  return complete();

  async function tryEach(
    provider: Provider,
    wanted: readonly Product[],
    check: (product: Product) => Promise<Lack>,
  ): Promise<void> {
    const found = await Promise.all(wanted.map(check));
    const lacking = new Map<string, Product[]>();
    for (const [index, product] of wanted.entries()) {
      const lack = found[index] ?? null;
      if (lack === null) chosen[product] = provider;
      else lacking.set(lack, [...(lacking.get(lack) ?? []), product]);
    }
    const missing = [...lacking].map(([lack, of]) => `${of.join(', ')}: ${lack}`);
    if (missing.length > 0) lacks.push(`${provider}: ${missing.join('; ')}`);
  }

  async function tryLast(): Promise<void> {
    for (const product of left()) {
      const last = choice.last[product];
      if (last === 'installed' && (await checks.installed(product)) === null) chosen[product] = last;
      if (last === 'embedded' && (await checks.embedded(product)) === null) chosen[product] = last;
    }
  }

  async function tryDocker(): Promise<void> {
    const wanted = left();
    const lack = wanted.length === 0 ? null : await checks.docker(wanted);
    if (lack === null) for (const product of wanted) chosen[product] = 'docker';
    else lacks.push(`docker: ${lack}`);
  }

  function complete(): Record<Product, Provider> {
    const missing = left();
    if (missing.length === 0) return chosen as Record<Product, Provider>;
    const forcedBy = forced === 'auto' ? '' : ` (HOTBOARD_STACK is ${forced})`;
    throw new StackError(
      'STACK_NO_PROVIDER',
      `There is no way to get ${missing.join(', ')}${forcedBy}:\n${lacks.map((line) => `  ${line}`).join('\n')}`,
    );
  }
}

function keepsOtherData(last: Provider | undefined): boolean {
  return last === 'installed' || last === 'embedded';
}

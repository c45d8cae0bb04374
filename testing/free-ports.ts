import { isFree } from '../stack/ports.ts';

/** The first of `count` consecutive ports on 127.0.0.1 that are all free now. None that `stack/ports.ts` gives out. */
export async function freePorts(count: number): Promise<number> {
  for (;;) {
    const first = 20_000 + Math.floor(Math.random() * 12_000);
    const ports = Array.from({ length: count }, (_, index) => first + index);
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return first;
  }
}

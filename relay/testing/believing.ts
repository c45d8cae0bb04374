import type { SourceStore } from '../sources/store.ts';

/** A store that says of every lease that it is this relay's, in term 1, and will be for long, and that there is nobody else. */
export function believing(store: SourceStore, me: () => string): SourceStore {
  return {
    ...store,
    async readLeases() {
      const table = await store.readLeases();
      const leases = table.leases.map(({ bucket }) => ({ bucket, owner: me(), epoch: 1, remainingMs: 60_000 }));
      return { ...table, leases, members: [] };
    },
  };
}

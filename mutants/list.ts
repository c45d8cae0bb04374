/** A broken variant of the code: what is replaced where. */
export interface Mutant {
  name: string;
  file: string;
  find: string;
  replace: string;
  /** More places of the same file. */
  also?: readonly { find: string; replace: string }[];
  /** Unit tests (parts of paths) that are run before the simulator, where they are what kills it. */
  tests?: readonly string[];
  /** Seeds of the simulator to begin with, where the usual ones take long. */
  seed?: number;
}

const bucketLoop = 'relay/delivery/bucket-loop.ts';
const exactlyOnce = 'relay/delivery/exactly-once.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'cursor instead of set: reads behind the last id that was sent',
    file: 'relay/batch/choose.ts',
    seed: 9,
    find: `  const chosen: PendingRow[] = [];
  for (const row of head) {`,
    replace: `  const chosen: PendingRow[] = [];
  const cursors = ((left as any).cursors ??= {});
  const last = Math.max(0, ...head.filter(({ id }) => left.isInFlight(id)).map(({ id }) => Number(id)));
  cursors.last = last;
  for (const row of head) {
    if (Number(row.id) < last) continue;`,
  },
  {
    name: 'mark before send: deletes the rows, then sends their events',
    file: bucketLoop,
    find: '    const settled = await delivery.deliver(',
    replace: `    await this.#options.store.delete([{ bucket: term.bucket, ids }]);
    const settled = await delivery.deliver(`,
  },
  {
    name: 'mark by range: deletes all of a batch up to the last acknowledged row',
    file: bucketLoop,
    seed: 7,
    find: 'if (settled.acknowledged.length > 0) await this.#acknowledged(settled.acknowledged);',
    replace: `const last = Math.max(...settled.acknowledged.map(({ row }) => Number(row.id)));
    if (settled.acknowledged.length > 0)
      await this.#acknowledged(batch.filter(({ row }) => Number(row.id) <= last));`,
  },
  {
    name: 'skip past a failed send: later events of the key go on',
    file: bucketLoop,
    find: 'for (const failure of settled.failures) this.#hold(failure, batch, settled.acknowledged);',
    replace: '',
  },
  {
    name: 'a refusal behind an unsent event of the key counts as an attempt',
    file: bucketLoop,
    tests: ['relay/blocked/blocked'],
    find: 'if (isBehindUnsent(first, batch, acknowledged)) {',
    replace: 'if (false) {',
  },
  {
    name: 'an in-flight id is dropped before its delete is seen',
    file: 'relay/batch/in-flight.ts',
    seed: 33,
    find: 'for (const id of ids) if (this.#rows.has(id)) this.#rows.set(id, this.#reads);',
    replace: 'for (const id of ids) this.#rows.delete(id);',
    tests: ['relay/batch/batch'],
  },
  {
    name: 'a partition that is missing in the answer counts as acknowledged',
    file: 'relay/batch/settle.ts',
    find: 'if (!failure && answered.get(cause) === routed.length) {',
    replace: 'if (!failure) {',
  },
  {
    name: 'the lease is not asked just before a send',
    file: bucketLoop,
    tests: ['relay/relays.unit'],
    find: 'if (!term.isTrusted() || this.#stopping) return;',
    replace: 'if (this.#stopping) return;',
  },
  {
    name: 'epoch not checked: a lease that was lost and won again is the old one',
    file: 'relay/lease/elector.ts',
    tests: ['relay/lease/elector'],
    find: 'if (lease?.epoch === term.epoch) {',
    replace: 'if (lease) {',
  },
  {
    name: 'trust counted from after the renewal',
    file: 'relay/lease/elector.ts',
    tests: ['relay/lease/trust'],
    find: 'trustedUntilMs(readStartedMs, remainingMs, leaseMs)',
    replace: 'trustedUntilMs(clock.monotonicMs(), remainingMs, leaseMs)',
  },
  {
    name: 'a bucket is given back while its batch is in flight',
    file: 'relay/lease/elector.ts',
    tests: ['relay/relays.unit'],
    find: `    finish(term)
      .then(`,
    replace: `    void finish(term);
    Promise.resolve()
      .then(`,
  },
  {
    name: 'the share rule gives one bucket to two',
    file: 'relay/lease/decide.ts',
    find: 'each + (index < rest ? 1 : 0)',
    replace: 'each + (rest > 0 ? 1 : 0)',
    tests: ['relay/lease/decide'],
  },
  {
    name: 'a batch number in place of exact ids: all between the first and the last of a batch count as sent',
    file: exactlyOnce,
    seed: 11,
    find: 'return sameEvents(position.rows, bucket);',
    replace: `{
          const numbers = position.rows.map(({ id }) => Number(id)).sort((a, b) => a - b);
          const first = numbers[0] ?? 1;
          return Array.from({ length: (numbers.at(-1) ?? 0) - first + 1 }, (_, at) => String(first + at));
        }`,
  },
  {
    name: 'unconfirmed ids left out of the position record',
    file: exactlyOnce,
    tests: ['relay/exactly-once.unit'],
    find: '...unconfirmed.flatMap((id) => sentRows.get(id) ?? []),',
    replace: '',
  },
  {
    name: 'lease not checked after the fence',
    file: exactlyOnce,
    tests: ['relay/exactly-once.unit'],
    find: 'if (leases.some((lease) => isMine(lease, me, term))) return incarnation;',
    replace: 'if (leases.length > 0) return incarnation;',
  },
  {
    name: 'the position is read before the fence',
    file: exactlyOnce,
    tests: ['relay/delivery/exactly-once'],
    find: '      await publisher.fence();',
    replace: `      const left = await lastCommitted(place);
      await publisher.fence();`,
    also: [
      {
        find: '      const left = await lastCommitted(place);\n      const alreadySent',
        replace: '      const alreadySent',
      },
    ],
  },
  {
    name: 'after an unknown commit the batch is simply sent again',
    file: exactlyOnce,
    tests: ['relay/exactly-once.unit'],
    find: "  const others = ['KAFKA_FENCED', 'KAFKA_FENCE_REQUIRED', 'KAFKA_COMMIT_UNKNOWN', 'KAFKA_CLOSED'];",
    replace: "  const others = ['KAFKA_FENCED', 'KAFKA_FENCE_REQUIRED', 'KAFKA_CLOSED'];",
    also: [
      {
        find: 'if (failures.length === 0 && !isRefusal(error)) throw error;',
        replace: 'if (isRefusal(error) || failures.length > 0 || batch.length > 0) { last = null; }',
      },
    ],
  },
  {
    name: 'state read before the stream lock',
    file: 'outbox/write.ts',
    find: `  const next = await lockLines(transaction, events);
  const rows: Row[] = [];`,
    replace: `  const built: unknown[] = [];
  for (const event of events) built.push(await event.build());
  const next = await lockLines(transaction, events);
  const rows: Row[] = [];`,
    also: [{ find: 'await event.build());\n    const line', replace: 'built.shift());\n    const line' }],
  },
  {
    name: 'version read without a lock',
    file: 'outbox/write.ts',
    find: `    const { insertId } = await statements.runStatement(transaction, statements.takeVersions, values);
    next.set(line, BigInt(insertId) - BigInt(count) + 1n);`,
    replace: `    const [row] = await statements.runStatement<{ version: unknown }[]>(
      transaction,
      'SELECT version FROM outbox_stream WHERE aggregate_type = ? AND aggregate_id = ?',
      values.slice(0, 2),
    );
    const version = Number(row?.version ?? 0) + count;
    await statements.runStatement(
      transaction,
      'REPLACE INTO outbox_stream (aggregate_type, aggregate_id, version) VALUES (?, ?, ?)',
      [...values.slice(0, 2), version],
    );
    next.set(line, BigInt(version - count + 1));`,
  },
  {
    name: 'an unknown COMMIT is told as a failure',
    file: 'outbox/transaction.ts',
    find: "        'OUTCOME_UNKNOWN',",
    replace: "        'TRANSACTION_CONFLICT',",
  },
  {
    name: 'a transaction is committed although a statement of it was undone',
    file: 'outbox/scope.ts',
    find: '    if (isTransient(failure)) this.fail(error);',
    replace: '    if (failure === null) this.fail(error);',
  },
  {
    name: 'inbox in its own transaction',
    file: 'inbox/apply.ts',
    find: 'await tx.record(plan.recorded);',
    replace: 'await options.store.transaction((own) => own.record(plan.recorded));',
  },
  {
    name: 'offset before commit: a batch is answered for while it is in work',
    file: 'inbox/worker.ts',
    find: '          await takeWithParked(readItems(chunk, options.catalogue), signal);',
    replace: '          void takeWithParked(readItems(chunk, options.catalogue), signal).catch(() => {});',
  },
  {
    name: 'reads on one past the stored offset',
    file: 'inbox/inbox.ts',
    find: '    progress.assigned(positions);\n    return positions;',
    replace: '    return positions.map((each) => ({ ...each, offset: each.offset && each.offset + 1n }));',
  },
  {
    name: 'parking in memory',
    file: 'inbox/apply.ts',
    find: 'await tx.park(plan.park);',
    replace: 'await tx.park(plan.park.slice(1));',
  },
  {
    name: 'duplicate check removed',
    file: 'inbox/apply.ts',
    find: '  const seen = ids.length > 0 ? await tx.findSeen(ids) : new Set<string>();',
    replace: '  const seen = new Set<string>();',
  },
  {
    name: 'watermark not moved',
    file: 'inbox/apply.ts',
    find: 'await tx.writeStreams(plan.changed);',
    replace: 'await tx.writeStreams([]);',
  },
  {
    name: 'a stale event is applied',
    file: 'inbox/decide.ts',
    find: "if (event.version <= last) return 'stale';",
    replace: "if (event.version < last) return 'stale';",
    tests: ['inbox/decide'],
  },
  {
    name: 'an early event is applied in a sequence inbox',
    file: 'inbox/decide.ts',
    find: "mode === 'sequence' && event.version > last + 1n",
    replace: "mode === 'sequence' && event.version > last + 2n",
  },
  {
    name: 'a batch that failed is given up in place of being taken apart',
    file: 'inbox/worker.ts',
    find: 'if (items.length > 1) return halve(items, signal);',
    replace: 'if (items.length > 1) return [];',
  },
  {
    name: 'lock on rows that do not exist yet: streams are made and not locked',
    file: 'inbox/store/mysql-transaction.ts',
    find: `      await this.#lock(missing, found);
    }`,
    replace: `      for (const each of missing) found.set(streamKey(each), { ...each, parked: 0 });
    }`,
    tests: ['inbox/store/mysql-transaction'],
  },
  {
    name: 'streams are read without a lock',
    file: 'inbox/store/sql.ts',
    find: ') FOR UPDATE`;',
    replace: ')`;',
    tests: ['inbox/store/mysql-transaction'],
  },
  {
    name: 'a stored offset can go back',
    file: 'inbox/store/sql.ts',
    find: 'next_offset = GREATEST(next_offset, VALUES(next_offset))',
    replace: 'next_offset = VALUES(next_offset)',
    tests: ['inbox/store/mysql-transaction'],
  },
  {
    name: 'an inbox of another mode starts all the same',
    file: 'inbox/inbox.ts',
    find: 'if (error instanceof InboxModeError) throw error;',
    replace: '',
    tests: ['inbox/inbox.unit'],
  },
  {
    name: 'an older state counts as superseded by an event that another handler gets',
    file: 'inbox/dispatch.ts',
    find: 'if (last && last.call !== call) newestOfItsCall(last);',
    replace: '',
    tests: ['inbox/dispatch'],
  },
  {
    name: 'what Kafka aborted is handed over',
    file: 'kafka/platformatic/records.ts',
    find: 'if (batch.attributes & IS_TRANSACTIONAL && aborted.has(batch.producerId)) continue;',
    replace: '',
    tests: ['kafka/platformatic/records'],
  },
  {
    name: "a header of the same length as the last message's is taken for the same",
    file: 'kafka/platformatic/headers.ts',
    find: 'if (index === length) return guess;',
    replace: 'return guess;',
    tests: ['kafka/platformatic/records'],
  },
  {
    name: 'dead key overtaken: rows that come later are sent',
    file: 'relay/blocked/keys.ts',
    find: 'return [...this.#entries.keys()];',
    replace: "return [...this.#entries].filter(([, { key }]) => key.state !== 'dead').map(([keyHash]) => keyHash);",
    also: [
      {
        find: 'return this.#entries.has(keyHash);',
        replace: "return (this.#entries.get(keyHash)?.key.state ?? 'dead') !== 'dead';",
      },
    ],
  },
];

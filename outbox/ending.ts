import type { Transaction } from 'sequelize';
import { type DatabaseFailure, databaseFailure } from '../database/failures.ts';

/** Whether a Sequelize transaction was committed or rolled back: its connection is back in the pool. */
export function hasEnded(transaction: Transaction): boolean {
  return (transaction as { finished?: string }).finished !== undefined;
}

/** Rolls back, or throws the connection away where that cannot be said over it any more. `error`: what made it necessary. */
export async function undo(transaction: Transaction, error: unknown): Promise<void> {
  if (hasEnded(transaction)) return;
  if (databaseFailure(error) === 'connection-lost') {
    const open = transaction as unknown as { finished?: string; forceCleanup(): Promise<void> };
    open.finished = 'rollback';
    await open.forceCleanup().catch(() => undefined);
    return;
  }
  await transaction.rollback().catch(() => undefined);
}

/** Failures of COMMIT by which the server says that it has undone the transaction. All others leave it open. */
export function surelyUndone(failure: DatabaseFailure | null): boolean {
  return failure === 'deadlock' || failure === 'lock-wait' || failure === 'snapshot';
}

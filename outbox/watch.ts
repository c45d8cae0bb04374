import type { Sequelize, Transaction } from 'sequelize';
import type { Scope } from './scope.ts';

/**
 * Notices statements that fail in an outbox's transactions, also where the body catches the error, and the server's answer
 * to COMMIT. Sequelize has no hook for a failed query, but gives the query itself to `beforeQuery`.
 */
export function watchStatements(sequelize: Sequelize, scopeOf: (transaction: Transaction) => Scope | undefined): void {
  sequelize.addHook('beforeQuery', (options: unknown, query: unknown) => {
    const { transaction } = options as { transaction?: Transaction };
    const scope = transaction && scopeOf(transaction);
    if (!scope) return;
    const watched = query as { run(sql: string, ...rest: unknown[]): Promise<unknown> };
    const run = watched.run;
    watched.run = async (sql, ...rest) => {
      try {
        const answer = await run.call(watched, sql, ...rest);
        if (sql === 'COMMIT;') scope.committed = true;
        return answer;
      } catch (error) {
        scope.statementFailed(error);
        throw error;
      }
    };
  });
}

import { QueryTypes, type Sequelize } from 'sequelize';
import { readLag } from './statements.ts';

/** Age of the oldest event that is not yet sent, by the database's clock; 0 where all are. */
export async function oldestUnsentAgeMs(sequelize: Sequelize): Promise<number> {
  const [row] = await sequelize.query<{ ageMs: string | number }>(readLag, { type: QueryTypes.SELECT });
  return row ? Math.max(0, Number(row.ageMs)) : 0;
}

import type { Context } from 'moleculer';
import sequelizePackage, { type Sequelize } from 'sequelize';
import { encodeToken } from '../outbox/token.ts';

const { QueryTypes } = sequelizePackage;

const readVersion = `
SELECT version FROM outbox_stream WHERE aggregate_type = 'article' AND aggregate_id = :articleId`;

/**
 * The consistency token of a write that found nothing to change: how far its version line is. A client that repeats a request
 * whose first answer was lost can wait by it like by the first one's. No token where nothing was ever written.
 */
export async function answerCurrentToken(
  ctx: Context<unknown, object>,
  sequelize: Sequelize,
  source: string,
  articleId: string,
): Promise<void> {
  const meta = ctx.meta as { consistencyToken?: string };
  if (meta.consistencyToken !== undefined) return;
  const rows = await sequelize.query<{ version: string }>(readVersion, {
    replacements: { articleId },
    type: QueryTypes.SELECT,
  });
  if (rows.length > 0) meta.consistencyToken = encodeToken([[source, 'article', articleId, String(rows[0]!.version)]]);
}

import type { Migration, MigrationContext } from '../migration.ts';

/**
 * Articles by the time at which they were made, for windows that begin in the middle of a day. Neither column changes with
 * a score, so these cost nothing when an article is liked.
 */
const indexes = {
  hot_article_created: 'ALTER TABLE hot_article ADD KEY hot_article_created (created_at)',
  hot_article_board_created: 'ALTER TABLE hot_article ADD KEY hot_article_board_created (board_id, created_at)',
};

const selectIndex = `
SELECT 1 FROM information_schema.statistics
WHERE table_schema = DATABASE() AND table_name = 'hot_article' AND index_name = ? LIMIT 1`;

export const hotWindows: Migration = {
  name: 'hot-article/0002-hot-windows',
  async up(context) {
    for (const [name, add] of Object.entries(indexes)) {
      if (!(await has(context, name))) await context.query(add);
    }
  },
  async down(context) {
    for (const name of Object.keys(indexes)) {
      if (await has(context, name)) await context.query(`ALTER TABLE hot_article DROP KEY ${name}`);
    }
  },
};

async function has(context: MigrationContext, index: string): Promise<boolean> {
  return (await context.query(selectIndex, [index])).length > 0;
}

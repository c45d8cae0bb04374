import type { MigrationSet } from '../migration.ts';
import { hotArticleTables } from './0001-hot-article-tables.ts';
import { hotWindows } from './0002-hot-windows.ts';

/** The projection behind the hot list (docs/adr/0008-hot-list.md). */
export const hotArticleMigrations: MigrationSet = [hotArticleTables, hotWindows];

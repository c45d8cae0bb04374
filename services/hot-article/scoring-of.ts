import type { Config } from '../../config/load.ts';
import { daysIn } from '../../ranking/days.ts';
import { formulaOf } from '../../ranking/formula.ts';
import type { Scoring } from './hot-row.ts';

/** The scoring that the configuration describes. */
export function scoringOf(config: Config): Scoring {
  const weights = { likes: config.scoreLikes, comments: config.scoreComments, views: config.scoreViews };
  return { formula: formulaOf(config.scoreFormula, weights), days: daysIn(config.timeZone) };
}

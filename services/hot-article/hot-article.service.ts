import { loadConfig } from '../../config/load.ts';
import { hotArticleService } from './schema.ts';

export default hotArticleService(loadConfig(process.env));

import { loadConfig } from '../../config/load.ts';
import { hotListService } from './schema.ts';

export default hotListService(loadConfig(process.env));

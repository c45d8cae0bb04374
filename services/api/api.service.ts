import { loadConfig } from '../../config/load.ts';
import { gatewayService } from './gateway.ts';

export default gatewayService(loadConfig(process.env));

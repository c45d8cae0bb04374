import { describeKafkaPort } from '../contract/index.ts';
import { createPlatformaticPort } from './platformatic-port.ts';

describeKafkaPort('@platformatic/kafka', createPlatformaticPort);

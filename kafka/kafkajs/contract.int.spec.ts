import { describeKafkaPort } from '../contract/index.ts';
import { createKafkajsPort } from './index.ts';

describeKafkaPort('kafkajs', createKafkajsPort);

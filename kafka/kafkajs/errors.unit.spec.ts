import { describe, expect, it } from '@jest/globals';
import kafkajs from 'kafkajs';
import { KafkaError } from '../errors.ts';
import { protocolType, translate } from './errors.ts';

const protocolError = (type: string, message = type) =>
  new kafkajs.KafkaJSProtocolError({ type, code: 1, retriable: true, message } as never);

describe('kafkajs errors', () => {
  it.each([
    ['MESSAGE_TOO_LARGE', 'KAFKA_MESSAGE_TOO_LARGE', false],
    ['UNKNOWN_TOPIC_OR_PARTITION', 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION', true],
    ['INVALID_PRODUCER_EPOCH', 'KAFKA_FENCED', false],
    ['REBALANCE_IN_PROGRESS', 'KAFKA_NOT_OWNER', true],
    ['TOPIC_AUTHORIZATION_FAILED', 'KAFKA_NOT_AUTHORIZED', false],
    ['NOT_ENOUGH_REPLICAS', 'KAFKA_UNAVAILABLE', true],
    ['SOMETHING_NEW', 'KAFKA_UNEXPECTED', false],
  ])('%s is %s', (type, code, retryable) => {
    const native = protocolError(type);
    expect(translate(native, 'Testing')).toMatchObject({ code, retryable, cause: native, message: `Testing: ${type}` });
  });

  it('are found behind what wraps them', () => {
    const inner = protocolError('MESSAGE_TOO_LARGE', 'too large');
    const wrapped = Object.assign(new kafkajs.KafkaJSNonRetriableError(inner), { cause: inner });
    expect(translate(wrapped, 'Testing')).toMatchObject({
      code: 'KAFKA_MESSAGE_TOO_LARGE',
      message: 'Testing: too large',
    });
    expect(protocolType(wrapped)).toBe('MESSAGE_TOO_LARGE');
    const several = Object.assign(new Error('several'), { errors: [protocolError('TOPIC_ALREADY_EXISTS')] });
    expect(translate(several, 'Testing').code).toBe('KAFKA_TOPIC_EXISTS');
  });

  it('that kafkajs has no name for are told by the broker’s number', () => {
    const native = protocolError('KAFKAJS_UNKNOWN_ERROR_CODE', 'Unknown error code 90');
    expect(translate(native, 'Testing').code).toBe('KAFKA_FENCED');
  });

  it('of the network mean that Kafka is away', () => {
    const native = new kafkajs.KafkaJSConnectionError('refused');
    expect(translate(native, 'Testing')).toMatchObject({ code: 'KAFKA_UNAVAILABLE', retryable: true });
  });

  it('that are the port’s own stay as they are', () => {
    const own = new KafkaError('KAFKA_CLOSED', 'closed', { retryable: false });
    expect(translate(own, 'Testing')).toBe(own);
  });
});

import { describe, expect, it } from '@jest/globals';
import { databaseFailure, isDuplicateKey, isTransient } from './failures.ts';

const driver = (fields: object) => Object.assign(new Error('driver'), fields);
const wrapped = (name: string, fields: object) =>
  Object.assign(new Error('sequelize'), { name, original: driver(fields) });

describe('databaseFailure', () => {
  it.each([
    ['a deadlock', wrapped('SequelizeDatabaseError', { errno: 1213 }), 'deadlock', true],
    ['a locked row', wrapped('SequelizeTimeoutError', { errno: 1205 }), 'lock-wait', true],
    ['a row that MySQL will not wait for', driver({ errno: 3572 }), 'locked', false],
    ['a changed row on MariaDB', driver({ errno: 1020 }), 'snapshot', true],
    ['a broken connection', driver({ code: 'PROTOCOL_CONNECTION_LOST' }), 'connection-lost', true],
    ['an idle session that the server ended', driver({ errno: 4031 }), 'connection-lost', true],
    [
      'a statement on a dead connection',
      driver({ message: "Can't add new command when connection is in closed state" }),
      'connection-lost',
      true,
    ],
    [
      'a refused connection',
      wrapped('SequelizeConnectionRefusedError', { code: 'ECONNREFUSED' }),
      'unreachable',
      false,
    ],
    [
      'a connection that broke while it was made',
      wrapped('SequelizeConnectionError', { code: 'ECONNRESET' }),
      'unreachable',
      false,
    ],
    ['a busy pool', driver({ name: 'SequelizeConnectionAcquireTimeoutError' }), 'pool-exhausted', false],
    ['a duplicate key', wrapped('SequelizeUniqueConstraintError', { errno: 1062 }), null, false],
    ['no error of a database', new TypeError('x'), null, false],
    ['nothing', undefined, null, false],
  ])('knows %s', (_, error, failure, transient) => {
    expect(databaseFailure(error)).toBe(failure);
    expect(isTransient(databaseFailure(error))).toBe(transient);
  });
});

describe('isDuplicateKey', () => {
  it('knows the driver’s error, and Sequelize’s around it', () => {
    expect(isDuplicateKey(driver({ errno: 1062 }))).toBe(true);
    expect(isDuplicateKey(wrapped('SequelizeUniqueConstraintError', { errno: 1062 }))).toBe(true);
    expect([driver({ errno: 1213 }), undefined, null].some(isDuplicateKey)).toBe(false);
  });
});

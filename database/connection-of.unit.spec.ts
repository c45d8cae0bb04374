import { describe, expect, it } from '@jest/globals';
import { loadConfig } from '../config/load.ts';
import { connectionOf } from './connection-of.ts';

describe('the connection of a service', () => {
  it('is not waited for longer than an answer could still be in time', () => {
    const config = loadConfig({
      HOTBOARD_MYSQL_URL: 'mysql://u:p@127.0.0.1:3306',
      HOTBOARD_REQUEST_TIMEOUT_MS: '3000',
    });
    expect(connectionOf(config, 'like')).toEqual({
      url: 'mysql://u:p@127.0.0.1:3306/hotboard_like',
      poolSize: 10,
      acquireMs: 1500,
    });
  });
});

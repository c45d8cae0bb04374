import { describe, expect, it } from '@jest/globals';
import { createExpired } from './statements.ts';

const columns =
  "(\n  `id` bigint(20) unsigned NOT NULL,\n  `day` date NOT NULL COMMENT 'a\\n PARTITION OF BY',\n  PRIMARY KEY (`id`,`day`)\n)";

describe('the table that expired rows change places with', () => {
  it.each([
    ['MariaDB', "ENGINE=InnoDB\n PARTITION BY RANGE  COLUMNS(`day`)\n(PARTITION `p1` VALUES LESS THAN ('2026-01-01'))"],
    [
      'MySQL',
      "ENGINE=InnoDB\n/*!50500 PARTITION BY RANGE  COLUMNS(`day`)\n(PARTITION p1 VALUES LESS THAN ('2026-01-01')) */",
    ],
  ])('is the outbox without its partitions, as %s shows it', (_, options) => {
    expect(createExpired(`CREATE TABLE \`outbox\` ${columns} ${options}`)).toBe(
      `CREATE TABLE outbox_expired ${columns} ENGINE=InnoDB`,
    );
  });

  it('is not guessed where the outbox has no partitions', () => {
    expect(createExpired(`CREATE TABLE \`outbox\` ${columns} ENGINE=InnoDB`)).toBeNull();
  });
});

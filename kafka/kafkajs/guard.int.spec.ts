import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ContractContext } from '../contract/context.ts';
import { publishUnderFaults } from '../contract/lost.ts';
import { Unguarded } from '../faults/unguarded.ts';
import { createKafkajsPort } from './index.ts';

describe('kafkajs and its guard', () => {
  let context: ContractContext;
  beforeAll(() => {
    context = new ContractContext(createKafkajsPort);
  });
  afterAll(() => context.close());

  it('by itself kafkajs loses what it acknowledged, so that the check of the contract can see a loss', async () => {
    let lost = 0;
    for (let round = 0; round < 6 && lost === 0; round++) {
      const result = await publishUnderFaults(context, (brokers) => new Unguarded(brokers));
      lost = result.lost.length;
    }
    expect(lost).toBeGreaterThan(0);
  });
});

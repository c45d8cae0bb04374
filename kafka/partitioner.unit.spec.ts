import { describe, expect, it } from '@jest/globals';
import kafkajs from 'kafkajs';
import { murmur2, partitionOf } from './partitioner.ts';

describe('partitioner', () => {
  it('computes the hashes of the Java client', () => {
    // Apache Kafka, clients/src/test/java/org/apache/kafka/common/utils/UtilsTest.java, testMurmur2
    const published: [string, number][] = [
      ['21', -973932308],
      ['foobar', -790332482],
      ['a-little-bit-long-string', -985981536],
      ['a-little-bit-longer-string', -1486304829],
      ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
      ['abc', 479470107],
    ];
    for (const [key, hash] of published) expect(murmur2(Buffer.from(key))).toBe(hash);
  });

  it('puts 10,000 keys where kafkajs, which follows Java, puts them', () => {
    const partitionMetadata = Array.from({ length: 12 }, (_, partitionId) => ({ partitionId, leader: 1 }));
    const theirs = kafkajs.Partitioners.DefaultPartitioner();
    for (let i = 0; i < 10_000; i++) {
      const key = `${9007199254740993n + BigInt(i * 7919)}`;
      expect(partitionOf(key, 12)).toBe(
        theirs({ topic: 't', message: { key, value: '' }, partitionMetadata: partitionMetadata as never }),
      );
    }
  });

  it('refuses a partition count that is none', () => {
    expect(() => partitionOf('a', 0)).toThrow('partitions must be a positive integer, got 0');
  });
});

/** The auditor's consumer group in Kafka. */
export const auditorGroup = 'faults.auditor';

import moleculer from 'moleculer';

const { MoleculerError, MoleculerRetryableError } = moleculer.Errors;

/** Kafka is away, or the packet could not be handed to it in time: the packet was certainly not stored. */
export class KafkaUnavailableError extends MoleculerRetryableError {
  constructor(message: string, data?: unknown) {
    super(message, 503, 'KAFKA_UNAVAILABLE', data);
    withoutStack(this);
  }
}

/** The packet was sent and Kafka's answer did not come: it may or may not arrive. */
export class PacketNotAcknowledgedError extends MoleculerRetryableError {
  constructor(message: string, data?: unknown) {
    super(message, 503, 'KAFKA_NOT_ACKNOWLEDGED', data);
    withoutStack(this);
  }
}

/** More packets wait than the options allow: this one was not taken. */
export class BacklogFullError extends MoleculerRetryableError {
  constructor(data: { queuedPackets: number; queuedBytes: number; maxQueuedPackets: number; maxQueuedBytes: number }) {
    const { queuedPackets, queuedBytes, maxQueuedPackets, maxQueuedBytes } = data;
    super(
      `Too much waits for Kafka: ${queuedPackets} packets with ${queuedBytes} bytes; allowed are ${maxQueuedPackets} and ${maxQueuedBytes}`,
      503,
      'KAFKA_BACKLOG_FULL',
      data,
    );
    withoutStack(this);
  }
}

/** The packet is larger than `maxPacketBytes`, or than what the topic takes: it can never be sent. */
export class PacketTooLargeError extends MoleculerError {
  constructor(what: string, packetBytes: number, maxPacketBytes: number) {
    super(`${what} has ${packetBytes} bytes, the limit is ${maxPacketBytes}`, 413, 'KAFKA_PACKET_TOO_LARGE', {
      packetBytes,
      maxPacketBytes,
    });
  }
}

/** Moleculer logs each failed call with its stack; in an outage that is much text that helps nobody. */
function withoutStack(error: Error): void {
  error.stack = `${error.name}: ${error.message}`;
}

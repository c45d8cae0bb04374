/** Kafka takes [a-zA-Z0-9._-] and 249 characters, and refuses two names that differ only in `.` and `_`. */
const maxTopicLength = 249;

/**
 * Names of a cluster's topics: `<prefix>.all`, which every node reads, and `<prefix>.node.<node id>`, one node's inbox. Prefix
 * and node id are encoded, so dots and any other character are allowed in them: what is not a letter, a digit or `-`
 * becomes `_` and two hex digits for each UTF-8 byte. Neither the words after the dots nor an encoded name can collide.
 */
export class TopicNames {
  readonly all: string;
  readonly #inboxPrefix: string;

  constructor(prefix: string) {
    this.all = `${encodeName(prefix)}.all`;
    this.#inboxPrefix = `${encodeName(prefix)}.node.`;
  }

  /** Throws where the name would be longer than Kafka takes. */
  inbox(nodeId: string): string {
    const topic = this.#inboxPrefix + encodeName(nodeId);
    if (topic.length > maxTopicLength) {
      throw new TypeError(
        `KafkaTransporter: the topic of node "${nodeId}" would have ${topic.length} characters; Kafka takes ${maxTopicLength}. Shorten the node id or the namespace.`,
      );
    }
    return topic;
  }

  /** The node whose inbox this is; null for any other topic. */
  nodeOf(topic: string): string | null {
    return topic.startsWith(this.#inboxPrefix) ? decodeName(topic.slice(this.#inboxPrefix.length)) : null;
  }
}

export function encodeName(name: string): string {
  let encoded = '';
  for (const byte of Buffer.from(name, 'utf8')) {
    const character = String.fromCharCode(byte);
    encoded += /[a-zA-Z0-9-]/.test(character) ? character : `_${byte.toString(16).padStart(2, '0')}`;
  }
  return encoded;
}

export function decodeName(encoded: string): string {
  const bytes: number[] = [];
  for (let at = 0; at < encoded.length; at++) {
    if (encoded[at] === '_') {
      bytes.push(Number.parseInt(encoded.slice(at + 1, at + 3), 16));
      at += 2;
    } else bytes.push(encoded.charCodeAt(at));
  }
  return Buffer.from(bytes).toString('utf8');
}

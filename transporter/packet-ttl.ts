import type { Settings } from './options.ts';

/** What the transporter looks at in a packet of Moleculer. */
export interface Packet {
  type: string;
  target: string | null;
  payload: { id?: string; timeout?: number; action?: string; event?: string; [field: string]: unknown };
}

/** Packets that callers wait for: they are told at once when there is no way out. Moleculer's own simply come again. */
export const callersPackets: readonly string[] = ['REQ', 'EVENT', 'PING'];

/** How long a packet is useful, in ms: older ones are dropped. */
export function ttlOf(
  { type, payload }: Pick<Packet, 'type' | 'payload'>,
  {
    requestTtlMs,
    eventTtlMs,
    controlTtlMs,
    retentionMs,
  }: Pick<Settings, 'requestTtlMs' | 'eventTtlMs' | 'controlTtlMs' | 'retentionMs'>,
): number {
  switch (type) {
    case 'REQ':
      return payload.timeout && payload.timeout > 0 ? payload.timeout : requestTtlMs;
    case 'RES':
      return requestTtlMs;
    case 'EVENT':
      return eventTtlMs;
    case 'DISCONNECT':
      // What comes after it corrects it, being late does no harm.
      return retentionMs;
    default:
      return controlTtlMs;
  }
}

/** Numbered messages between two members that know each other only through relays, while sessions are renewed. */
import { toHex } from '../../lib/bytes.js';
import { type MeshHost, MeshWorld, type MeshWorldOptions } from './mesh-world.js';

const LIFETIME_MS = 5_000;

/** A diamond: a and b know each other only through the relays r1 and r2. */
export async function diamond(
  options: MeshWorldOptions = {},
): Promise<{ readonly mesh: MeshWorld; readonly a: MeshHost; readonly b: MeshHost }> {
  const mesh = new MeshWorld({ link: { delayMs: 3 }, node: { sessionLifetimeMs: LIFETIME_MS }, ...options });
  mesh.add('r1', [], { relay: true });
  mesh.add('r2', ['r1'], { relay: true });
  const a = mesh.add('a', ['r1', 'r2']);
  const b = mesh.add('b', ['r1', 'r2']);
  await mesh.run(1_000);
  return { mesh, a, b };
}

export interface Numbers {
  /** In the order of their arrival. */
  readonly got: readonly number[];
  /** How long the slowest took, in virtual time. */
  readonly slowestMs: number;
  send(bytes: number, critical: boolean): void;
}

/** Numbered messages to a host: what arrived, in that order, and the longest that one took. */
export function numbers(mesh: MeshWorld, from: MeshHost, to: MeshHost): Numbers {
  const got: number[] = [];
  const sentAt: number[] = [];
  let slowestMs = 0;
  to.node.serve('numbers', (_from, bytes) => {
    const n = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    got.push(n);
    slowestMs = Math.max(slowestMs, mesh.world.scheduler.nowMs - (sentAt[n] ?? 0));
  });
  return {
    got,
    get slowestMs() {
      return slowestMs;
    },
    send(bytes: number, critical: boolean): void {
      const message = new Uint8Array(bytes);
      new DataView(message.buffer).setUint32(0, sentAt.length);
      sentAt.push(mesh.world.scheduler.nowMs);
      if (!from.node.send(to.peer, 'numbers', message, critical ? { class: 'critical' } : {})) throw new Error('full');
    },
  };
}

export const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
export const renewals = (host: MeshHost): number => host.peerEvents.filter(({ cause }) => cause === 'new keys').length;
export const secretOf = (host: MeshHost, other: MeshHost): string =>
  toHex(host.node.exportSecret(other.peer, 'label', 32) ?? new Uint8Array(0));

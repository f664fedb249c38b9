/** What is tried with other implementations of Noise, and what the processes say to one another about it. */

export type Party = 'libp2p-noise' | 'noise-c';
export type Role = 'initiator' | 'responder';

export interface Case {
  readonly party: Party;
  readonly protocolName: string;
  /** Of our end. */
  readonly role: Role;
}

/** To a process: take part in one case, on the side of `role`. */
export interface Order {
  readonly protocolName: string;
  readonly role: Role;
  /** Our end speaks the payloads of libp2p where the other is libp2p. */
  readonly party: Party;
  /** Where our end listens; the other one dials. */
  readonly port: number;
  /** Of the process at the other end, in hex: its X25519 static key, and its libp2p identity where it has one. */
  readonly remote: Identity;
}

export interface Identity {
  readonly staticKey: string;
  readonly libp2p?: string;
}

/** From a process, once: it can take orders. */
export interface Ready {
  readonly identity: Identity;
  /** Of our end. */
  readonly port: number;
}

/** From a process, for each order. */
export interface Outcome {
  /** Messages received and found as they should be. */
  readonly received: number;
  readonly error: string | undefined;
}

const ROLES: readonly Role[] = ['initiator', 'responder'];

const noiseC = ['XX', 'IK'].flatMap(pattern =>
  ['ChaChaPoly', 'AESGCM'].flatMap(cipher =>
    ['SHA256', 'BLAKE2s'].flatMap(hash =>
      ROLES.map((role): Case => ({ party: 'noise-c', protocolName: `Noise_${pattern}_25519_${cipher}_${hash}`, role })),
    ),
  ),
);

/** libp2p has one protocol only. */
const libp2p = ROLES.map(
  (role): Case => ({ party: 'libp2p-noise', protocolName: 'Noise_XX_25519_ChaChaPoly_SHA256', role }),
);

export const CASES: readonly Case[] = [...libp2p, ...noiseC];

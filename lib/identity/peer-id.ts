/** Peer ids: the Ed25519 public key of a peer in a checksummed text form. */

declare const peerIdBrand: unique symbol;

/** `hf1` followed by the base32 of public key and checksum, lower case. */
export type PeerId = string & { readonly [peerIdBrand]: true };

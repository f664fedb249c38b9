/** `hopfair identity`: makes the file that holds a peer's secrets, and shows whose it is. Never prints a secret. */

import { toHex } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import { systemRandomBytes } from '../crypto/random.js';
import { createIdentitySeeds, type IdentitySeeds } from '../identity/identity.js';
import { peerIdOf } from '../identity/peer-id.js';
import { readIdentityFile, writeIdentityFile } from '../storage/identity-file.js';
import { EXIT, type ExitCode } from './exit-code.js';
import { type Output, table } from './output.js';

export async function createIdentity(
  crypto: CryptoProvider,
  path: string,
  json: boolean,
  output: Output,
): Promise<ExitCode> {
  const seeds = createIdentitySeeds(systemRandomBytes);
  await writeIdentityFile(path, seeds, { crypto, rng: systemRandomBytes });
  show(crypto, path, seeds, json, output);
  if (!json) output.err(`Keep ${path} secret and backed up: it cannot be made again, and whoever has it is this peer.`);
  return EXIT.ok;
}

export async function showIdentity(
  crypto: CryptoProvider,
  path: string,
  json: boolean,
  output: Output,
): Promise<ExitCode> {
  show(crypto, path, await readIdentityFile(path, crypto), json, output);
  return EXIT.ok;
}

function show(crypto: CryptoProvider, file: string, seeds: IdentitySeeds, json: boolean, output: Output): void {
  const signer = crypto.signer(seeds.identity);
  const staticKey = crypto.dhKeyPair(seeds.static);
  const [peer, staticHex] = [peerIdOf(signer.publicKey), toHex(staticKey.publicKey)];
  signer.destroy();
  staticKey.destroy();
  for (const secret of [seeds.identity, seeds.static]) secret.fill(0);
  if (json) output.out(JSON.stringify({ peer, staticKey: staticHex, file }));
  else
    output.out(
      table([
        ['peer', peer],
        ['static key', staticHex],
        ['file', file],
      ]),
    );
}

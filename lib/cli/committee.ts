/** `hopfair committee`: what a descriptor says, and what it is worth. */
import type { CryptoProvider } from '../crypto/interface.js';
import { readCommitteeFile } from './committee-file.js';
import { EXIT, type ExitCode } from './exit-code.js';
import { type Output, table } from './output.js';

export function showCommittee(crypto: CryptoProvider, path: string, json: boolean, output: Output): ExitCode {
  const committee = readCommitteeFile(crypto, path);
  const { descriptor, hashHex, parameters } = committee;
  const { n, f, q, t, profile, tolerates } = committee.summary();
  const members = descriptor.members.map(({ peer }) => peer);
  if (json) {
    const { networkId, epoch } = descriptor;
    output.out(
      JSON.stringify({ hash: hashHex, networkId, epoch, n, f, q, t, profile, tolerates, parameters, members }),
    );
    return EXIT.ok;
  }
  output.out(
    table([
      ['committee', hashHex],
      ['network', descriptor.networkId],
      ['epoch', descriptor.epoch],
      ['n', `${n} validators`],
      ['f', `${f} of them may crash or lie`],
      ['q', `${q} votes are a quorum`],
      ['t', `${t} shares open an order`],
      ['profile', `${profile}, ${parameters.mode} orders`],
      ['delay', `D = ${parameters.delayBoundMs} ms, W = ${parameters.holdCuts} cuts, H = ${parameters.holdMs} ms`],
      ['tolerates', tolerates],
      ...members.map((peer, index) => [`member ${index}`, peer] as const),
    ]),
  );
  return EXIT.ok;
}

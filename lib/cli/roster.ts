/** `hopfair roster`: makes, signs, assembles, shows and checks rosters; m people in m places can take part. */
import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { toUtf8 } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import { HopfairError } from '../errors.js';
import { peerIdOf } from '../identity/peer-id.js';
import {
  assembleRotation,
  decodeRotation,
  encodeRotationBody,
  type RootRotation,
  requireSigned,
  signRotationBody,
} from '../identity/root-keys.js';
import {
  assembleRoster,
  decodeRoster,
  encodeRosterBody,
  type Roster,
  type RosterTrust,
  signRosterBody,
  verifyRoster,
} from '../identity/roster.js';
import { parseRosterTrust } from '../identity/roster-trust.js';
import { readIdentityFile } from '../storage/identity-file.js';
import { EXIT, type ExitCode } from './exit-code.js';
import { type Output, table } from './output.js';
import { type Draft, draftOf, draftText, readDraft, readSignature, signatureText } from './roster-draft.js';
import { readBounded, readRosterFile } from './roster-file.js';

interface OutOption {
  readonly out: string;
}
interface TrustOption {
  readonly trust: string;
}

const TRUST_FILE = 'JSON with "networkId", "rootKeys" (ids) and "threshold": what every node pins';

export function addRosterCommands(
  program: Command,
  crypto: CryptoProvider,
  output: Output,
  onCode: (code: ExitCode) => void,
): void {
  const roster = program
    .command('roster')
    .description('who belongs to a network: rosters, and the keys that sign them');
  roster
    .command('create')
    .description('make the draft of a roster, to be signed, from a file that people wrote')
    .argument('<file>', 'JSON with networkId, version, expiry and members')
    .requiredOption('--out <file>', 'the draft')
    .action((file: string, { out }: OutOption) => {
      const draft = draftOf(crypto, 'roster', encodeRosterBody(readRosterFile(file)));
      writeNew(out, draftText(draft));
      tellDraft(draft, out, output);
    });
  roster
    .command('rotate')
    .description('make the draft of a change of the root keys, to be signed by the present ones')
    .argument('<trust>', `the next trust: ${TRUST_FILE}`)
    .requiredOption('--from-version <version>', 'the first version of the roster that the next keys sign', version)
    .requiredOption('--out <file>', 'the draft')
    .action((file: string, { fromVersion, out }: OutOption & { readonly fromVersion: number }) => {
      const draft = draftOf(crypto, 'rotation', encodeRotationBody({ ...readTrust(file), fromVersion }));
      writeNew(out, draftText(draft));
      tellDraft(draft, out, output);
    });
  roster
    .command('sign')
    .description('sign a draft with one root key')
    .argument('<draft>')
    .requiredOption('--key <file>', 'the identity file of the root key')
    .requiredOption('--out <file>', 'the signature')
    .action(async (file: string, options: OutOption & { readonly key: string }) => {
      await sign(crypto, readDraft(crypto, file), options, output);
    });
  roster
    .command('assemble')
    .description('put a draft and its signatures together: what nodes take')
    .argument('<draft>')
    .argument('<signature...>')
    .requiredOption('--trust <file>', TRUST_FILE)
    .requiredOption('--out <file>', 'the roster, or the rotation')
    .action((file: string, signatures: string[], options: OutOption & TrustOption) => {
      assemble(crypto, readDraft(crypto, file), signatures, options, output);
    });
  roster
    .command('show')
    .description('print what a roster, a rotation or a draft says; nothing is verified')
    .argument('<file>')
    .option('--json', 'as one JSON object')
    .action((file: string, { json }: { readonly json?: true }) => show(crypto, file, json === true, output));
  roster
    .command('verify')
    .description('check a roster as a node does that pins this trust')
    .argument('<roster>')
    .requiredOption('--trust <file>', TRUST_FILE)
    .addHelpText('after', '\nExit code: 0 a node takes it, 1 it does not, 2 the command could not run.')
    .action((file: string, { trust }: TrustOption) => onCode(verify(crypto, file, trust, output)));
}

function version(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('It takes a number from 1 on.');
  return value;
}

const readTrust = (path: string): RosterTrust => parseRosterTrust(toUtf8(readBounded(path)));
const writeNew = (path: string, content: string | Uint8Array): void => writeFileSync(path, content, { flag: 'wx' });

function tellDraft(draft: Draft, out: string, output: Output): void {
  output.out(table([...rowsOf(draft), ['sha-256', draft.hash], ['draft', out]]));
  output.err('Give the draft to those who sign, and the hash by another way.');
}

async function sign(
  crypto: CryptoProvider,
  draft: Draft,
  { key, out }: OutOption & { readonly key: string },
  output: Output,
): Promise<void> {
  const seeds = await readIdentityFile(key, crypto);
  const signer = crypto.signer(seeds.identity);
  for (const secret of [seeds.identity, seeds.static]) secret.fill(0);
  try {
    const signature =
      draft.kind === 'roster' ? signRosterBody(signer, draft.body) : signRotationBody(signer, draft.body);
    writeNew(out, signatureText(draft, signature));
    const rootKey = peerIdOf(signature.rootKey);
    output.out(table([...rowsOf(draft), ['sha-256', draft.hash], ['signed by', rootKey], ['signature', out]]));
  } finally {
    signer.destroy();
  }
}

/** Refuses what no node would take; what is signed too little says how much is missing. */
function assemble(
  crypto: CryptoProvider,
  draft: Draft,
  signatureFiles: readonly string[],
  { trust: trustFile, out }: OutOption & TrustOption,
  output: Output,
): void {
  const trust = readTrust(trustFile);
  const signatures = signatureFiles.map(path => readSignature(path, draft));
  const { body } = draft;
  if (draft.kind === 'rotation') {
    const { networkId, fromVersion } = draft.rotation;
    if (networkId !== trust.networkId) throw new HopfairError('ROSTER_INVALID', `it is for network ${networkId}`);
    requireSigned(crypto, trust, { kind: 'root-rotation', networkId, version: fromVersion, body, signatures });
    writeNew(out, assembleRotation(body, signatures));
  } else {
    const bytes = assembleRoster(body, signatures);
    verifyRoster(crypto, bytes, trust);
    writeNew(out, bytes);
  }
  output.out(table([...rowsOf(draft), ['sha-256', draft.hash], ['signatures', signatures.length], [draft.kind, out]]));
}

function show(crypto: CryptoProvider, path: string, json: boolean, output: Output): void {
  const { draft, signers } = readAny(crypto, path);
  if (json) output.out(JSON.stringify(factsOf(draft, signers)));
  else output.out(table([...rowsOf(draft), ['sha-256', draft.hash], ...signers.map(id => ['signed by', id] as const)]));
}

/** A draft, an assembled roster or an assembled rotation. */
function readAny(crypto: CryptoProvider, path: string): { readonly draft: Draft; readonly signers: readonly string[] } {
  const bytes = readBounded(path);
  const OPENING_BRACE = 0x7b;
  if (bytes[0] === OPENING_BRACE) return { draft: readDraft(crypto, path), signers: [] };
  for (const [kind, decode] of [
    ['roster', decodeRoster],
    ['rotation', decodeRotation],
  ] as const) {
    try {
      const { body, signatures } = decode(bytes);
      return { draft: draftOf(crypto, kind, body), signers: signatures.map(({ rootKey }) => peerIdOf(rootKey)) };
    } catch (error) {
      if (!(error instanceof HopfairError && error.code === 'DECODE_FAILED')) throw error;
    }
  }
  throw new HopfairError('DECODE_FAILED', `${path} is neither a roster, a rotation nor a draft of one`);
}

function verify(crypto: CryptoProvider, path: string, trustFile: string, output: Output): ExitCode {
  const trust = readTrust(trustFile);
  try {
    const { roster } = verifyRoster(crypto, readBounded(path), trust);
    if (Date.now() > roster.expiry) throw new HopfairError('ROSTER_INVALID', 'it is expired');
    output.out(`valid    ${path}: version ${roster.version}, until ${new Date(roster.expiry).toISOString()}`);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof HopfairError && error.code === 'ROSTER_INVALID')) throw error;
    output.out(`INVALID  ${path}: ${error.message}`);
    return EXIT.refused;
  }
}

// ---------------------------------------------------------------- for people and for programs

function rowsOf(draft: Draft): readonly (readonly [string, string | number])[] {
  return draft.kind === 'roster' ? rosterRows(draft.roster) : rotationRows(draft.rotation);
}

function rosterRows(roster: Roster): readonly (readonly [string, string | number])[] {
  const { members, revoked, edges, aliases, rotations } = roster;
  return [
    ['network', roster.networkId],
    ['version', roster.version],
    ['expiry', new Date(roster.expiry).toISOString()],
    ...members.map(({ peer, operator = '?', region = '?', mayRelay }) => {
      return ['member', `${peer}  ${operator}, ${region}${mayRelay ? ', may relay' : ''}`] as const;
    }),
    ...revoked.map(peer => ['revoked', peer] as const),
    ...edges.map(({ between, floorMs }) => ['edge', `${between.join(' - ')} at least ${floorMs} ms`] as const),
    ...aliases.map(({ alias, publisher, name }) => ['alias', `${alias} = ${publisher}/${name}`] as const),
    ...rotations.flatMap(bytes => rotationRows(decodeRotation(bytes)).slice(1)),
  ];
}

const rotationRows = (rotation: RootRotation): readonly (readonly [string, string | number])[] => [
  ['network', rotation.networkId],
  ['root keys', `${rotation.threshold} of ${rotation.rootKeys.length}, from version ${rotation.fromVersion} on`],
  ...rotation.rootKeys.map(key => ['root key', peerIdOf(key)] as const),
];

function factsOf(draft: Draft, signers: readonly string[]): unknown {
  const { kind, hash } = draft;
  if (kind === 'rotation') return { kind, hash, signers, ...rotationFacts(draft.rotation) };
  const rotations = draft.roster.rotations.map(bytes => rotationFacts(decodeRotation(bytes)));
  return { kind, hash, signers, ...draft.roster, rotations, bytes: draft.body.length };
}

const rotationFacts = ({
  networkId,
  fromVersion,
  threshold,
  rootKeys,
}: RootRotation): Readonly<Record<string, unknown>> => ({
  networkId,
  fromVersion,
  threshold,
  rootKeys: rootKeys.map(peerIdOf),
});

/** The commands and their options; each is carried out by a file of its own. */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import type { CryptoProvider } from '../crypto/interface.js';
import { HopfairError } from '../errors.js';
import { showCommittee } from './committee.js';
import { EXIT, type ExitCode } from './exit-code.js';
import { createIdentity, showIdentity } from './identity.js';
import { type MeshOptions, showPeers, showRoutes, showWhy } from './mesh.js';
import type { Output } from './output.js';
import { addRosterCommands } from './roster.js';
import { verifyFiles } from './verify.js';

interface JsonOption {
  readonly json?: true;
}

interface ViewOptions extends JsonOption {
  readonly url: string;
  readonly watch?: number | true;
}

/**
 * Runs one command line, without the name of the program. Never throws: what goes wrong is explained on `output.err`.
 * `signal` ends what goes on until it is told to stop.
 */
export async function run(
  args: readonly string[],
  crypto: CryptoProvider,
  output: Output,
  signal?: AbortSignal,
): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  const program = new Command('hopfair')
    .description('A self-healing mesh transport with a fair-ordering broadcast')
    .exitOverride()
    .configureOutput({ writeOut: text => output.out(text.trimEnd()), writeErr: text => output.err(text.trimEnd()) });

  program
    .command('verify')
    .description('check fairness receipts, inclusion promises and evidence, offline')
    .argument('<file...>', 'proofs, as members and clients write them')
    .requiredOption('--committee <file>', 'the descriptor of the committee that the proofs are about')
    .option('--json', 'one JSON object per file')
    .addHelpText('after', '\nExit code: 0 every file is valid, 1 at least one is not, 2 the command could not run.')
    .action((files: string[], options: { readonly committee: string } & JsonOption) => {
      code = verifyFiles(crypto, files, { committee: options.committee, json: options.json === true }, output);
    });

  const identity = program.command('identity').description('the file that holds the secrets of a peer');
  identity
    .command('create')
    .description('make a new identity; an existing file is never overwritten')
    .argument('<file>')
    .option('--json', 'as one JSON object')
    .action(async (file: string, options: JsonOption) => {
      code = await createIdentity(crypto, file, options.json === true, output);
    });
  identity
    .command('show')
    .description('print the peer id and the public static key of an identity file')
    .argument('<file>')
    .option('--json', 'as one JSON object')
    .action(async (file: string, options: JsonOption) => {
      code = await showIdentity(crypto, file, options.json === true, output);
    });

  addRosterCommands(program, crypto, output, outcome => {
    code = outcome;
  });

  program
    .command('committee')
    .description('committee descriptors')
    .command('show')
    .description('print what a committee is made of and what it tolerates; an unsound one is refused')
    .argument('<file>')
    .option('--json', 'as one JSON object')
    .action((file: string, options: JsonOption) => {
      code = showCommittee(crypto, file, options.json === true, output);
    });

  const ofView = (command: Command): Command =>
    command
      .requiredOption('--url <url>', 'the view of a running node, as serveNodeView or its application tells it')
      .option('--json', 'as JSON; with --watch one object a line')
      .option('--watch [seconds]', 'again and again, every second or as given, until interrupted', seconds);
  const asked = ({ url, json, watch }: ViewOptions): MeshOptions => ({
    url,
    json: json === true,
    watchSeconds: watch === true ? 1 : watch,
    signal,
  });
  ofView(program.command('peers').description('whom a running node knows, and how it is connected')).action(
    async (options: ViewOptions) => {
      code = await showPeers(asked(options), output);
    },
  );
  ofView(program.command('routes').description('the routes that a running node uses now')).action(
    async (options: ViewOptions) => {
      code = await showRoutes(asked(options), output);
    },
  );
  ofView(
    program
      .command('why')
      .description('why the routes of a running node to a peer are what they are')
      .argument('<peer>', 'a peer id, the beginning of one, or a name that the node shows'),
  ).action(async (peer: string, options: ViewOptions) => {
    code = await showWhy(peer, asked(options), output);
  });

  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    return explain(error, output);
  }
}

function seconds(text: string): number {
  const value = Number(text);
  if (!(value >= 0.1 && value <= 3_600)) throw new InvalidArgumentError('It takes 0.1 to 3600 seconds.');
  return value;
}

/** What to do next, by the code of the error. */
const ADVICE: Partial<Record<string, string>> = {
  ENOENT: 'Check the path.',
  EACCES: 'Check who may read the file.',
  COMMITTEE_UNSOUND: 'Change the descriptor; nobody will run with this one.',
  CONFIG_INVALID: 'Mend the file and try again.',
  DECODE_FAILED: 'It is damaged, or is something else. Get it again from where it came from.',
  IDENTITY_FILE_UNSAFE: 'Mend what is said above before the identity is used.',
  DIAL_FAILED: 'Start the node with serveNodeView, or check host and port of --url.',
  TIMEOUT: 'The node is busy or stopped; try again, or look at its process.',
  INVALID_STATE: 'Choose another name.',
  EEXIST: 'Nothing is overwritten: choose another name.',
  ROSTER_INVALID: 'Nobody would take it. Mend what is said above, and have it signed again.',
};

function explain(error: unknown, output: Output): ExitCode {
  // Commander has printed its message, or the help that was asked for, already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.unusable;
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  if (!(error instanceof Error) || code === undefined) throw error; // a defect: with its stack, for a report
  if (code === 'ABORTED') return EXIT.ok; // interrupted, as asked
  const name = error instanceof HopfairError ? code : code.toLowerCase();
  output.err(`hopfair: ${error.message} (${name})`);
  const advice = ADVICE[code];
  if (advice !== undefined) output.err(advice);
  return EXIT.unusable;
}

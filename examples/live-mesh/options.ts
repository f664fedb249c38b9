/** The command line of the main job. */
import { Command, InvalidArgumentError } from 'commander';

export interface Options {
  /** How long orders are submitted; set-up before and draining after come on top. */
  readonly seconds: number;
  readonly json: boolean;
  readonly processes: boolean;
  readonly replay: string | undefined;
  readonly speed: number;
  readonly seed: number;
  readonly pagePort: number;
}

function number(minimum: number, maximum: number, integral: boolean): (text: string) => number {
  return text => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= minimum && value <= maximum) || (integral && !Number.isInteger(value)))
      throw new InvalidArgumentError(
        `It takes ${integral ? 'a whole number' : 'a number'} from ${minimum} to ${maximum}.`,
      );
    return value;
  };
}

/** Parses the arguments; on a mistake prints what is wrong and exits with 2, on `--help` with 0. */
export function parseOptions(argv: readonly string[]): Options {
  const command = new Command('npm start --')
    .description(
      'A live mesh on loopback: relays, bots, an ordering committee, an exchange on two observers, attackers.',
    )
    .option('--seconds <n>', 'how long orders are submitted', number(5, 3600, false), 30)
    .option('--json', 'one JSON object a line on standard output, the summary last', false)
    .option('--processes', 'each node is a process of its own, and what dies is killed with SIGKILL', false)
    .option(
      '--replay <file>',
      'recorded exchange stream, lines `<ns> <JSON>`, gzip or plain; default: generated bursts',
    )
    .option('--speed <x>', 'how much faster than recorded', number(0.01, 1000, false), 1)
    .option('--seed <n>', 'seed of the generated orders', number(0, 2 ** 31, true), 1)
    .option('--page-port <n>', 'port of the live page on 127.0.0.1; 0: any free one', number(0, 65_535, true), 0)
    .showHelpAfterError('(npm start -- --help lists the options)')
    .exitOverride(error => process.exit(error.exitCode === 0 ? 0 : 2));
  const { replay, ...rest } = command.parse(argv as string[], { from: 'user' }).opts<Options>();
  return { ...rest, replay };
}

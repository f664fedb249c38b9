/**
 * The main job, `npm start`: a live mesh on loopback WebSockets, with relays, bots, an ordering committee, an exchange on
 * two observers, and attackers. Ends with a verdict: exit 0 when nothing was lost, repeated or different, 1 when
 * something was, 2 when it could not run.
 */
import { access, constants } from 'node:fs/promises';
import { Console } from './console.js';
import { parseOptions } from './options.js';
import { LivePage } from './page.js';
import { generateTrades, readRecording } from './replay.js';
import { spawnHere, spawnProcess } from './spawn.js';
import { Stage } from './stage.js';
import { whyFrom } from './why.js';

const PICTURE_INTERVAL_MS = 250;

const options = parseOptions(process.argv.slice(2));
const output = new Console(options.json);

function cannotRun(reason: string): never {
  output.problem(reason);
  process.exit(2);
}

if (options.replay !== undefined) {
  await access(options.replay, constants.R_OK).catch((error: NodeJS.ErrnoException) => {
    cannotRun(
      `cannot read the recording ${options.replay}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`,
    );
  });
}

const stage = new Stage({
  seconds: options.seconds,
  speed: options.speed,
  spawn: options.processes ? spawnProcess : spawnHere,
  onEvent: event => output.event(event),
});
const trades =
  options.replay === undefined
    ? generateTrades(options.seed)
    : readRecording(options.replay, (line, reason) => {
        stage.tally.malformedLines++;
        output.malformedLine(options.replay as string, line, reason);
      });

const page = new LivePage(async (from, to) => {
  const [view, peer] = [stage.viewOf(from), stage.peerOf(to)];
  return view === undefined || peer === undefined ? undefined : whyFrom(view, peer);
});
const address = await page
  .listen(options.pagePort)
  .catch((error: Error) => cannotRun(`the live page cannot listen: ${error.message}`));
output.event({ atSeconds: 0, what: `live page: ${address}`, page: address });
const refresh = setInterval(() => {
  const printing = output.isDue();
  if (!printing && !page.watched) return;
  const picture = stage.picture();
  page.show(picture);
  if (printing) output.progress(picture);
}, PICTURE_INTERVAL_MS);

try {
  const summary = await stage.run(trades);
  page.show(stage.picture());
  output.summary(summary);
  process.exitCode = summary.verdict === 'pass' ? 0 : 1;
} catch (error) {
  output.problem((error as Error).message);
  process.exitCode = 2;
} finally {
  clearInterval(refresh);
  await page.close();
}

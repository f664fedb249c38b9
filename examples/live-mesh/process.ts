/** One node of the live mesh as a process of its own: the first message is its configuration, the rest are commands. */
import type { Command, NodeConfig, Report } from './messages.js';
import { type RunningNode, runNode } from './node.js';

const report = (message: Report): void => {
  process.send?.(message);
};
const failed = (error: unknown): void => {
  report({ kind: 'fatal', reason: String((error as Error).stack ?? error) });
};

const PROCESSOR_INTERVAL_MS = 500;
setInterval(() => {
  const { user, system } = process.cpuUsage();
  report({ kind: 'processor', cpuMs: (user + system) / 1_000 });
}, PROCESSOR_INTERVAL_MS).unref();

let node: Promise<RunningNode> | undefined;
process.on('message', message => {
  if (node === undefined) node = runNode(message as NodeConfig, report);
  else {
    const command = message as Command;
    node
      .then(running => running.command(command))
      .then(() => {
        if (command.kind === 'stop') process.disconnect();
      })
      .catch(failed);
  }
  node.catch(failed);
});
// The stage manager is gone: nobody is left to report to.
process.on('disconnect', () => process.exit(0));

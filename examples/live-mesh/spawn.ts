/** Two ways to run a node: in this process, or in one of its own that can be killed for real. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Actor, Command, NodeConfig, Report, Spawn } from './messages.js';
import { type RunningNode, runNode } from './node.js';

/** Several nodes on one event loop. Killing one cuts its connections without a word, then forgets it. */
export const spawnHere: Spawn = (config, onReport) => {
  let dead = false;
  const report = (message: Report): void => {
    if (!dead) onReport(message);
  };
  const failed = (error: unknown): undefined => {
    report({ kind: 'fatal', reason: String((error as Error).stack ?? error) });
    return undefined;
  };
  const running: Promise<RunningNode | undefined> = runNode(config, report).catch(failed);
  return {
    name: config.name,
    send: command => void running.then(node => (dead ? undefined : node?.command(command))).catch(failed),
    kill: async () => {
      dead = true;
      await (await running)?.crash();
    },
  };
};

const entry = fileURLToPath(new URL('./process.js', import.meta.url));

/** A process for the node; `kill` is SIGKILL. */
export const spawnProcess: Spawn = (config: NodeConfig, onReport): Actor => {
  const child = fork(entry, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  let stopping = false;
  const gone = new Promise<void>(resolve => {
    child.on('exit', (code, signal) => {
      if (!stopping) onReport({ kind: 'fatal', reason: `its process ended with ${signal ?? `code ${code}`}` });
      resolve();
    });
  });
  child.on('message', message => onReport(message as Report));
  child.send(config);
  return {
    name: config.name,
    send: (command: Command) => {
      if (command.kind === 'stop') stopping = true;
      if (child.connected) child.send(command);
    },
    kill: async () => {
      stopping = true;
      child.kill('SIGKILL');
      await gone;
    },
  };
};

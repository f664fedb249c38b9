/** Starts the processes, carries out the cases one after the other, and ends the processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { CASES, type Case, type Identity, type Order, type Outcome, type Party, type Ready } from './cases.js';
import { MESSAGES, otherRole } from './messages.js';

export interface CaseResult extends Case {
  readonly ok: boolean;
  /** Messages that arrived as they were sent, at our end and at the other. */
  readonly received: number;
  readonly receivedByOther: number;
  readonly error: string | undefined;
}

/** One case takes well below a second; whoever takes this long waits for something that will not come. */
const CASE_TIMEOUT_MS = 15_000;

class Peer {
  readonly #child: ChildProcess;
  readonly ready: Promise<Ready>;

  constructor(file: string) {
    const program = fileURLToPath(new URL(file, import.meta.url));
    const stdio: ['ignore', 'inherit', 'inherit', 'ipc'] = ['ignore', 'inherit', 'inherit', 'ipc'];
    this.#child = spawn(process.execPath, ['--import', 'tsx', program], { stdio });
    this.ready = this.#next<Ready>();
  }

  order(order: Order): Promise<Outcome> {
    const outcome = this.#next<Outcome>();
    this.#child.send(order);
    return outcome;
  }

  stop(): void {
    this.#child.kill();
  }

  /** The next message of the process, or an error when it ends before it says anything, or says nothing. */
  async #next<T>(): Promise<T> {
    const giveUp = new AbortController();
    const timer = setTimeout(() => giveUp.abort(new Error('no answer in time')), CASE_TIMEOUT_MS);
    const { signal } = giveUp;
    try {
      const died = once(this.#child, 'exit', { signal }).then(([code]) => {
        throw new Error(`the process ended with code ${code}`);
      });
      const [message] = (await Promise.race([once(this.#child, 'message', { signal }), died])) as [T];
      return message;
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      clearTimeout(timer);
      giveUp.abort(); // takes the listeners away
    }
  }
}

const FILES: Readonly<Record<Party, string>> = { 'libp2p-noise': './libp2p.ts', 'noise-c': './noise-c.ts' };

interface Met {
  readonly peer: Peer;
  readonly identity: Identity;
}

async function runCase(it: Case, ours: Met, theirs: Met, port: number): Promise<CaseResult> {
  const common = { protocolName: it.protocolName, party: it.party, port };
  try {
    const [own, other] = await Promise.all([
      ours.peer.order({ ...common, role: it.role, remote: theirs.identity }),
      theirs.peer.order({ ...common, role: otherRole(it.role), remote: ours.identity }),
    ]);
    const errors = [own.error && `here: ${own.error}`, other.error && `there: ${other.error}`].filter(Boolean);
    const [received, receivedByOther] = [own.received, other.received];
    const ok = errors.length === 0 && received === MESSAGES && receivedByOther === MESSAGES;
    return { ...it, ok, received, receivedByOther, error: errors.join('; ') || undefined };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { ...it, ok: false, received: 0, receivedByOther: 0, error: why };
  }
}

/** Runs the cases; `onResult` hears of each as it ends. */
export async function runInterop(
  onResult: (result: CaseResult) => void,
  cases: readonly Case[] = CASES,
): Promise<void> {
  const parties = [...new Set(cases.map(it => it.party))];
  const ours = new Peer('./hopfair.ts');
  const others = new Map(parties.map(party => [party, new Peer(FILES[party])]));
  try {
    const { identity, port } = await ours.ready;
    for (const it of cases) {
      const peer = others.get(it.party);
      if (peer === undefined) throw new Error(`nobody is ${it.party}`);
      const { identity: remote } = await peer.ready;
      onResult(await runCase(it, { peer: ours, identity }, { peer, identity: remote }, port));
    }
  } finally {
    for (const peer of [ours, ...others.values()]) peer.stop();
  }
}

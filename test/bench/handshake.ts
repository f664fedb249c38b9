/**
 * Handshakes per second, both ends in this process: `npm run bench -- handshake [--json] [--rounds N]`. Ours with
 * certificates and everything that a channel checks, beside @chainsafe/libp2p-noise with its signed payloads. The
 * contenders take turns in short rounds, and a ratio is the median of those of the rounds, so that what else the machine
 * does hits all of them alike.
 */
import { parseArgs } from 'node:util';
import { AbstractMessageStream } from '@libp2p/utils';
import { HandshakeDriver, type HandshakeOptions } from '../../lib/channel/index.js';
import { defaultCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import { unixMs } from '../../lib/env.js';
import { Identity } from '../../lib/identity/index.js';
import { libp2pEncrypter, logger } from '../interop/libp2p-encrypter.js';
import { createLibp2pIdentity, type Libp2pIdentity } from '../interop/libp2p-payload.js';

const ROUND_MS = 50;
const WARM_UP_ROUNDS = 6;
const BASE = 'libp2p-noise XX';
/** Ratios to reach, C5 of the design. */
const BARS: Readonly<Record<string, number>> = { XX: 6, XXhfs: 2 };

interface Contender {
  readonly name: string;
  /** One handshake, of both ends. */
  run(): void | Promise<void>;
}

const crypto = defaultCrypto();
const networkId = 'bench';

function identity(): Identity {
  const seeds = { identity: systemRandomBytes(32), static: systemRandomBytes(32) };
  return new Identity({ crypto, seeds, networkId, now: unixMs(Date.now()) });
}

const [alice, bob] = [identity(), identity()];

function ours(name: string, postQuantum: 'required' | 'off', isKnown: boolean): Contender {
  const common = { crypto, networkId, context: 'channel', random: systemRandomBytes, postQuantum } as const;
  const driver = (options: Pick<HandshakeOptions, 'role' | 'identity' | 'remoteStatic'>): HandshakeDriver =>
    new HandshakeDriver({ ...common, now: unixMs(Date.now()), ...options });
  return {
    name,
    run() {
      const remote = isKnown ? { remoteStatic: bob.staticKey.publicKey } : {};
      const initiator = driver({ role: 'initiator', identity: alice, ...remote });
      const responder = driver({ role: 'responder', identity: bob });
      let message: Uint8Array | undefined = initiator.start();
      let done = 0;
      for (let receiver = responder; message !== undefined; receiver = receiver === responder ? initiator : responder) {
        const step = receiver.receive(message);
        if (step.kind === 'failed') throw step.error;
        if (step.kind === 'done') {
          done++;
          step.result.destroy();
        }
        message = step.reply;
      }
      if (done !== 2) throw new Error(`${name}: ${done} ends are done`);
    },
  };
}

/** Two streams in one process, without the delay of those that libp2p tests with. */
class MemoryStream extends AbstractMessageStream {
  other: MemoryStream | undefined;

  constructor(direction: 'inbound' | 'outbound') {
    super({ log: logger.forComponent('bench'), direction });
  }

  override sendData(data: { readonly byteLength: number; subarray(): Uint8Array }) {
    const bytes = data.subarray();
    queueMicrotask(() => this.other?.onData(bytes));
    return { sentBytes: bytes.length, canSendMore: true };
  }

  override sendReset(): void {
    this.other?.onRemoteReset();
  }

  override sendPause(): void {
    this.other?.pause();
  }

  override sendResume(): void {
    this.other?.resume();
  }

  override async close(): Promise<void> {
    this.other?.onTransportClosed();
  }
}

async function libp2p(): Promise<Contender> {
  const end = async ({ privateKey }: Libp2pIdentity) => libp2pEncrypter(privateKey, systemRandomBytes(32));
  const [outbound, inbound] = [await end(await createLibp2pIdentity()), await end(await createLibp2pIdentity())];
  return {
    name: BASE,
    async run() {
      const [near, far] = [new MemoryStream('outbound'), new MemoryStream('inbound')];
      [near.other, far.other] = [far, near];
      await Promise.all([outbound.secureOutbound(near), inbound.secureInbound(far)]);
    },
  };
}

interface Sample {
  readonly perSecond: number;
  readonly cpuMs: number;
}

async function sample(contender: Contender): Promise<Sample> {
  const cpu = process.cpuUsage();
  const begun = performance.now();
  let count = 0;
  let now = begun;
  for (; now - begun < ROUND_MS; now = performance.now()) {
    const running = contender.run();
    if (running !== undefined) await running;
    count++;
  }
  const { user, system } = process.cpuUsage(cpu);
  return { perSecond: (count * 1_000) / (now - begun), cpuMs: (user + system) / 1_000 / count };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >>> 1] ?? Number.NaN;
}

const options = { json: { type: 'boolean', default: false }, rounds: { type: 'string', default: '30' } } as const;
const { values } = parseArgs({ options });
const contenders: readonly Contender[] = [
  await libp2p(),
  ours('XX', 'off', false),
  ours('IK', 'off', true),
  ours('XXhfs', 'required', false),
  ours('IKhfs', 'required', true),
];
const samples = new Map<string, Sample[]>(contenders.map(({ name }) => [name, []]));
for (let round = -WARM_UP_ROUNDS; round < Number(values.rounds); round++) {
  for (const contender of contenders) {
    const taken = await sample(contender);
    if (round >= 0) samples.get(contender.name)?.push(taken);
  }
}

const base = samples.get(BASE) ?? [];
for (const [name, taken] of samples) {
  const row = {
    type: 'row',
    name,
    perSecond: Math.round(median(taken.map(it => it.perSecond))),
    cpuMs: Number(median(taken.map(it => it.cpuMs)).toFixed(3)),
    ratio: Number(median(taken.map((it, i) => it.perSecond / (base[i]?.perSecond ?? Number.NaN))).toFixed(2)),
  };
  const bar = BARS[name];
  const judged = bar === undefined ? row : { ...row, bar, ok: row.ratio >= bar };
  if (values.json) console.log(JSON.stringify(judged));
  else {
    const goal = bar === undefined ? '' : ` (bar ${bar})`;
    console.log(`${name.padEnd(16)} ${row.perSecond}/s, ${row.cpuMs} ms of CPU, ${row.ratio} x ${BASE}${goal}`);
  }
}
process.exit(0);

/** Figures of a page: how long a handshake takes, and how many messages pass, beside a WebSocket without hopfair. */
import { defaultCrypto, systemEnv } from 'hopfair';
import { dial } from './channel.js';
import { DO, type MeasureConfig, type MeasureReport } from './config.js';

/** What a channel and a plain WebSocket have in common. */
interface Line {
  /** False: not taken, wait for room. */
  send(message: Uint8Array): boolean;
  onRoom: () => void;
  onMessage: (message: Uint8Array) => void;
  close(): void;
}

declare class WebSocket {
  binaryType: string;
  onopen: () => void;
  onerror: () => void;
  onmessage: (event: { data: ArrayBuffer }) => void;
  constructor(address: string);
  send(message: Uint8Array): void;
  close(): void;
}

const idle = (): void => undefined;

async function channelLine(config: MeasureConfig): Promise<Line> {
  const channel = await dial(config, { env: systemEnv(), crypto: defaultCrypto() });
  const line: Line = {
    send: message => channel.send(message),
    onRoom: idle,
    onMessage: idle,
    close: () => channel.close(),
  };
  channel.attach({ onMessage: message => line.onMessage(message), onDrain: () => line.onRoom(), onClose: idle });
  return line;
}

/** Takes everything at once, as the platform does. */
function plainLine(address: string): Promise<Line> {
  const platform = new WebSocket(address);
  platform.binaryType = 'arraybuffer';
  return new Promise((resolve, reject) => {
    const send = (message: Uint8Array): boolean => {
      platform.send(message);
      return true;
    };
    const line: Line = { send, onRoom: idle, onMessage: idle, close: () => platform.close() };
    platform.onmessage = ({ data }) => line.onMessage(new Uint8Array(data));
    platform.onopen = () => resolve(line);
    platform.onerror = () => reject(new Error(`no connection to ${address}`));
  });
}

const told = (line: Line, count: number): Promise<void> =>
  new Promise(resolve => {
    let left = count;
    line.onMessage = () => {
      if (--left === 0) resolve();
    };
  });

const room = (line: Line): Promise<void> =>
  new Promise(resolve => {
    line.onRoom = resolve;
  });

async function upPerSecond(line: Line, { messages, bytes }: MeasureConfig): Promise<number> {
  const message = new Uint8Array(bytes).fill(DO.take);
  const begun = performance.now();
  for (let sent = 0; sent < messages; sent++) while (!line.send(message)) await room(line);
  const answered = told(line, 1);
  while (!line.send(Uint8Array.of(DO.answer))) await room(line);
  await answered;
  return (messages * 1_000) / (performance.now() - begun);
}

async function downPerSecond(line: Line, { messages }: MeasureConfig): Promise<number> {
  const begun = performance.now();
  const arrived = told(line, messages);
  line.send(Uint8Array.of(DO.push));
  await arrived;
  return (messages * 1_000) / (performance.now() - begun);
}

async function roundTripsMs(line: Line, count: number): Promise<number[]> {
  const message = new Uint8Array(64).fill(DO.echo);
  const durations: number[] = [];
  for (let trip = 0; trip < count; trip++) {
    const begun = performance.now();
    const back = told(line, 1);
    line.send(message);
    await back;
    durations.push(performance.now() - begun);
  }
  return durations;
}

async function lineFigures(line: Line, config: MeasureConfig): Promise<MeasureReport['channel']> {
  await upPerSecond(line, { ...config, messages: config.messages / 10 }); // the compiler of the browser warms up
  const up = await upPerSecond(line, config);
  const down = await downPerSecond(line, config);
  const rttsMs = await roundTripsMs(line, config.roundTrips);
  line.close();
  return { upPerSecond: up, downPerSecond: down, rttsMs };
}

export async function measure(config: MeasureConfig): Promise<MeasureReport> {
  const handshakesMs: number[] = [];
  for (let count = 0; count < config.handshakes; count++) {
    const begun = performance.now();
    const line = await channelLine(config);
    handshakesMs.push(performance.now() - begun);
    line.close();
  }
  const channel = await lineFigures(await channelLine(config), config);
  const plain = await lineFigures(await plainLine(config.plainAddress), config);
  return { handshakesMs, channel, plain };
}

/** What a node keeps in its store besides the roster: the number of its run, and how new the certificates of peers were. */
import { Reader, Writer } from '../bytes.js';
import type { Cancel, Env } from '../env.js';
import { unixMs } from '../env.js';
import { HopfairError } from '../errors.js';
import type { KnownPeers, SeenEpoch } from '../identity/known-peers.js';
import { LIMITS } from '../limits.js';
import type { NodeStore } from '../store.js';
import { readPeer, writePeer } from '../wire/peer.js';

const RUN_RECORD = 'run-epoch';
const EPOCHS_RECORD = 'certificate-epochs';
/** A power loss forgets what was seen since. */
const SAVE_MS = 10_000;

/** Throws STORAGE_CORRUPT for a record that is whole, and yet none of ours. */
function readRecord<T>(store: NodeStore | undefined, name: string, read: (reader: Reader) => T): T | undefined {
  const bytes = store?.get(name);
  if (bytes === undefined) return undefined;
  try {
    const reader = new Reader(bytes);
    const value = read(reader);
    reader.end();
    return value;
  } catch (cause) {
    if (!(cause instanceof HopfairError && cause.code === 'DECODE_FAILED')) throw cause;
    throw new HopfairError('STORAGE_CORRUPT', `the record "${name}" of the store is of another format`, { cause });
  }
}

/**
 * Numbers this run of a node: by the wall clock, and with a store above all its earlier runs, also where the clock went
 * back in between. What the node signs as its newest is not taken for older then.
 */
export function nextRunEpoch(env: Env, store: NodeStore | undefined): number {
  const last = readRecord(store, RUN_RECORD, reader => reader.u64()) ?? -1;
  const epoch = Math.max(env.clock.unix(), last + 1);
  store?.set(RUN_RECORD, new Writer(8).u64(epoch).finish(), failure => {
    if (failure !== undefined) env.log.error('run-epoch-not-stored', { cause: failure.message });
  });
  return epoch;
}

/** What earlier runs saw of peers: a certificate that was superseded before a restart is refused after it. */
export function restoreEpochs(store: NodeStore | undefined, knownPeers: KnownPeers): void {
  knownPeers.restore(readRecord(store, EPOCHS_RECORD, readEpochs) ?? []);
}

/** Keeps the epochs of known peers, until it is stopped and once more then. */
export function keepEpochs(env: Env, store: NodeStore | undefined, knownPeers: KnownPeers): Cancel {
  if (store === undefined) return () => undefined;
  let saved = knownPeers.changes;
  const save = (): void => {
    if (saved === knownPeers.changes) return;
    saved = knownPeers.changes;
    store.set(EPOCHS_RECORD, encodeEpochs([...knownPeers.seenEpochs()]), failure => {
      if (failure !== undefined) env.log.error('certificate-epochs-not-stored', { cause: failure.message });
    });
  };
  let cancel: Cancel;
  const saveLater = (): void => {
    cancel = env.clock.schedule(SAVE_MS, () => {
      save();
      saveLater();
    });
  };
  saveLater();
  return () => {
    cancel();
    save();
  };
}

function encodeEpochs(epochs: readonly SeenEpoch[]): Uint8Array {
  const writer = new Writer(2 + 48 * epochs.length).u16(epochs.length);
  for (const { peer, epoch, seenAt } of epochs) writePeer(writer, peer).u64(epoch).u64(seenAt);
  return writer.finish();
}

function readEpochs(reader: Reader): readonly SeenEpoch[] {
  const count = reader.count16(LIMITS.maxKnownPeers);
  return Array.from({ length: count }, () => {
    return { peer: readPeer(reader), epoch: reader.u64(), seenAt: unixMs(reader.u64()) };
  });
}

/** Yggdrasil in the diamond: an overlay over TCP peerings, UDP messages from one of its addresses to another. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from '../reroute/child.js';
import { isRelay, PLACES, type Place, type RelayName } from '../reroute/diamond.js';
import { Daemon } from './daemon.js';
import type { FrameRelayRequest } from './frame-relay-process.js';
import { Probe } from './routed.js';
import { linkAddress } from './spaces.js';
import type { System } from './systems.js';

const PROGRAM = 'yggdrasil';
const FRAME_RELAY = new URL('./frame-relay-process.ts', import.meta.url);
const PEERING_PORT = 9_000;
const RELAY_PORT = 9_001;
/** So large that nothing of its protocol is mistaken for it. */
const MESSAGE_BYTES = 1_000;
const DATA_BYTES = 900;
const RELAYS: readonly RelayName[] = ['a', 'b'];
const ENDS = ['source', 'destination'] as const;

function configOf(place: Place): string {
  const made: unknown = JSON.parse(execFileSync(PROGRAM, ['-genconf', '-json'], { encoding: 'utf8' }));
  const peerings =
    place === 'source' || place === 'destination'
      ? { Peers: RELAYS.map(relay => `tcp://${linkAddress(place, relay, 'relay')}:${PEERING_PORT}`) }
      : { Listen: [`tcp://127.0.0.1:${RELAY_PORT}`] };
  const alone = { AdminListen: 'none', MulticastInterfaces: [], IfName: 'ygg0', IfMTU: 1_280 };
  return JSON.stringify({ ...(made as object), ...alone, ...peerings });
}

export const yggdrasil: System = {
  name: 'Yggdrasil',
  programs: [PROGRAM],
  settleMs: 10_000,
  about: 'TCP peerings; its relay spoils large frames',
  async start(spaces, folder, ratePerSecond) {
    const files = new Map(PLACES.map(place => [place, join(folder, `${place}.conf`)]));
    for (const [place, file] of files) writeFileSync(file, configOf(place));
    const filters = new Map<RelayName, Child<FrameRelayRequest>[]>();
    for (const relay of RELAYS) {
      // One for each neighbour, so that data is spoiled once, on its way from the source.
      const made = ENDS.map(
        () => new Child<FrameRelayRequest>(`the frames of ${relay}`, FRAME_RELAY, undefined, spaces.of(relay)),
      );
      filters.set(relay, made);
      for (const [i, end] of ENDS.entries()) {
        const host = linkAddress(end, relay, 'relay');
        await made[i]?.ask({ kind: 'listen', host, port: PEERING_PORT, relayPort: RELAY_PORT });
      }
    }
    // Relays first: a peering that is refused is tried again much later.
    const daemons = [...PLACES]
      .sort((a, b) => Number(isRelay(b)) - Number(isRelay(a)))
      .map(
        place =>
          new Daemon(spaces.of(place), [PROGRAM, '-useconffile', files.get(place) ?? ''], join(folder, `${place}.log`)),
      );
    const address = execFileSync(PROGRAM, ['-useconffile', files.get('destination') ?? '', '-address'], {
      encoding: 'utf8',
    });
    const probe = new Probe(spaces);
    await probe.start('::', address.trim(), ratePerSecond, MESSAGE_BYTES);
    return {
      delivery: () => {
        for (const daemon of daemons) daemon.check();
        return probe.delivery();
      },
      dropData: (relay, share) =>
        filters.get(relay)?.[0]?.ask({ kind: 'spoil', share, largerThan: DATA_BYTES }) ??
        Promise.reject(new Error(relay)),
      async end() {
        const all = [...filters.values()].flat();
        await Promise.all([probe.end(), ...daemons.map(one => one.end()), ...all.map(one => one.end())]);
      },
    };
  },
};

/** hopfair in the diamond: the shipping node over TCP, one process in each namespace. */

import { Diamond } from '../reroute/diamond.js';
import type { NodeAnswers, Sent } from '../reroute/node-process.js';
import { linkAddress } from './spaces.js';
import type { System } from './systems.js';

const PORT = 7_400;

export const ours: System = {
  name: 'hopfair',
  programs: [],
  settleMs: 3_000,
  about: 'the shipping node over TCP; its relays drop by `relay.onForward`',
  async start(spaces, _folder, ratePerSecond) {
    const diamond = await Diamond.start({
      listenAt: () => `tcp://0.0.0.0:${PORT}`,
      dialAt: (from, relay) => `tcp://${linkAddress(from, relay, 'relay')}:${PORT}`,
      onRoute: () => undefined,
      spaceOf: place => spaces.of(place),
    });
    const peer = diamond.peers.destination;
    await diamond.ask('source', { kind: 'send', peer, ratePerSecond, class: 'normal' });
    return {
      async delivery() {
        const { atMs } = await diamond.ask<Sent>('source', { kind: 'sent' });
        const { oneWayMs } = await diamond.ask<NodeAnswers['arrivals']>('destination', { kind: 'arrivals' });
        return { atMs, oneWayMs };
      },
      dropData: (relay, share) =>
        diamond.ask(relay, { kind: 'behave', behaviour: { kind: 'drop', share, direction: 'to-destination' } }),
      end: () => diamond.end(),
    };
  },
};

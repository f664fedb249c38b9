/**
 * The links of the diamond for everybody: UDP packets of VXLAN, each of which carries one packet of a link, pass through
 * here and take the time of the link. It can lose packets and hold them longer, all of a link or only the data of the
 * measurement, which it knows by their UDP port; so the relays' own packets (hellos, BFD) still come through.
 */
import { createSocket, type Socket } from 'node:dgram';
import { DelayLine, type Lateness } from '../reroute/delay-line.js';
import { answerRequests } from '../reroute/request.js';
import { segmentOf, writeChecksum } from './checksum.js';

export interface HubLink {
  readonly name: string;
  readonly port: number;
  /** Addresses of the two ends in the underlay. */
  readonly ends: readonly [string, string];
}

export interface HubFault {
  /** Share of all packets that is lost. */
  readonly loss?: number;
  /** Share of the measurement's packets that is lost, besides. */
  readonly dataLoss?: number;
  /** Added to each direction. */
  readonly extraMs?: number;
}

export type HubRequest =
  | { readonly kind: 'links'; readonly links: readonly HubLink[]; readonly delayMs: number; readonly dataPort: number }
  | { readonly kind: 'fault'; readonly name: string; readonly fault: HubFault }
  /** Bytes by link since the start. */
  | { readonly kind: 'bytes' }
  | { readonly kind: 'lateness' };

export interface HubAnswers {
  readonly bytes: Readonly<Record<string, number>>;
  readonly lateness: Lateness;
}

const VXLAN_BYTES = 8;
const UDP = 17;

class Link {
  bytes = 0;
  fault: HubFault = {};
  readonly #link: HubLink;
  readonly #delayMs: number;
  readonly #dataPort: number;
  readonly #line = new DelayLine();
  readonly #socket: Socket = createSocket('udp4');

  constructor(link: HubLink, delayMs: number, dataPort: number) {
    this.#link = link;
    this.#delayMs = delayMs;
    this.#dataPort = dataPort;
  }

  open(): Promise<void> {
    this.#socket.on('message', (packet, { address }) => this.#pass(packet, address));
    return new Promise((resolve, reject) => {
      this.#socket.once('error', reject);
      this.#socket.bind(this.#link.port, resolve);
    });
  }

  lateness(): Lateness {
    return this.#line.lateness();
  }

  #pass(packet: Buffer, from: string): void {
    const { ends, port } = this.#link;
    const to = from === ends[0] ? ends[1] : ends[0];
    const { loss = 0, dataLoss = 0, extraMs = 0 } = this.fault;
    this.bytes += packet.length;
    if (Math.random() < loss) return;
    const segment = segmentOf(packet, VXLAN_BYTES);
    if (segment !== undefined) {
      const isData = segment.protocol === UDP && packet.readUInt16BE(segment.from + 2) === this.#dataPort;
      if (isData && Math.random() < dataLoss) return;
      writeChecksum(packet, segment);
    }
    this.#line.push(this.#delayMs + extraMs, () => this.#socket.send(packet, port, to));
  }
}

const links = new Map<string, Link>();

answerRequests<HubRequest>(async request => {
  switch (request.kind) {
    case 'links':
      for (const link of request.links) links.set(link.name, new Link(link, request.delayMs, request.dataPort));
      await Promise.all([...links.values()].map(link => link.open()));
      return null;
    case 'fault': {
      const link = links.get(request.name);
      if (link === undefined) throw new Error(`there is no link ${request.name}`);
      link.fault = request.fault;
      return null;
    }
    case 'bytes':
      return Object.fromEntries([...links].map(([name, link]) => [name, link.bytes])) satisfies HubAnswers['bytes'];
    case 'lateness': {
      const each = [...links.values()].map(link => link.lateness());
      return each.reduce((a, b) => (a.p99Ms >= b.p99Ms ? a : b)) satisfies HubAnswers['lateness'];
    }
  }
});

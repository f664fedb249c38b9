/**
 * The diamond in network namespaces: source, relays A and B, destination, and a hub. Each link is a pair of VXLAN interfaces
 * whose packets pass through the hub's process, since this is how a link without netem gets its time: every contender,
 * ours too, meets the same four links. Needs root and iproute2.
 */
import { execFileSync } from 'node:child_process';
import { atExit } from '../reroute/at-exit.js';
import { Child } from '../reroute/child.js';
import { PLACES, type Place, type RelayName } from '../reroute/diamond.js';
import type { HubAnswers, HubFault, HubLink, HubRequest } from './hub-process.js';

export const DATA_PORT = 5_555;
const FIRST_LINK_PORT = 47_810;
const HUB = new URL('./hub-process.ts', import.meta.url);

export const LINKS = [
  ['source', 'a'],
  ['source', 'b'],
  ['destination', 'a'],
  ['destination', 'b'],
] as const;
type LinkName = `${'source' | 'destination'}-${RelayName}`;

const numberOf = (place: Place): number => PLACES.indexOf(place) + 1;
const underlay = (place: Place): string => `10.117.${numberOf(place)}.1`;

/** The address of a node that does not belong to any link: what routing daemons tell one another the way to. */
export const loopback = (place: Place): string => `10.119.0.${numberOf(place)}`;

/** The address of an end of the link between a relay and `from`. */
export function linkAddress(from: 'source' | 'destination', relay: RelayName, end: 'relay' | 'from'): string {
  const index = LINKS.findIndex(([a, b]) => a === from && b === relay);
  return `10.118.${index + 1}.${end === 'from' ? 1 : 2}`;
}

/** The name of the interface to a neighbour. */
export const interfaceTo = (place: Place): string => `to-${place.slice(0, 1)}`;

function ip(space: string | undefined, lines: readonly string[]): void {
  const args = [...(space === undefined ? [] : ['-n', space]), '-batch', '-'];
  execFileSync('ip', args, { input: `${lines.join('\n')}\n`, stdio: ['pipe', 'ignore', 'pipe'], encoding: 'utf8' });
}

const reason = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).trim().replaceAll('\n', ' ');

let made = 0;

export class Spaces {
  readonly #prefix = `hopfair-${process.pid}-${made++}`;
  readonly #hub: Child<HubRequest>;
  readonly #made: string[] = [];
  readonly #forget = atExit(() => this.#remove());

  private constructor() {
    const spaces = [...PLACES.map(place => this.of(place)), this.#hubSpace];
    try {
      for (const space of spaces) {
        ip(undefined, [`netns add ${space}`]);
        this.#made.push(space);
        this.#configure(space);
      }
      ip(this.#hubSpace, ['link set lo up']);
      for (const place of PLACES) this.#joinHub(place);
      for (const [i, [from, relay]] of LINKS.entries()) {
        this.#endOfLink(i, from, relay, linkAddress(from, relay, 'from'));
        this.#endOfLink(i, relay, from, linkAddress(from, relay, 'relay'));
      }
    } catch (error) {
      this.#remove();
      throw error;
    }
    this.#hub = new Child<HubRequest>('the hub', HUB, undefined, this.#hubSpace);
  }

  /** Returns the diamond with links of `delayMs` in each direction, or why there can be none here. */
  static async open(delayMs: number): Promise<Spaces | string> {
    let spaces: Spaces;
    try {
      spaces = new Spaces();
    } catch (error) {
      return `network namespaces with VXLAN are not possible here: ${reason(error)}`;
    }
    const links = LINKS.map(([from, relay], i): HubLink => {
      return { name: `${from}-${relay}`, port: FIRST_LINK_PORT + i, ends: [underlay(from), underlay(relay)] };
    });
    try {
      await spaces.#hub.ask({ kind: 'links', links, delayMs, dataPort: DATA_PORT });
    } catch (error) {
      await spaces.close();
      throw error;
    }
    return spaces;
  }

  /** The namespace of a node. */
  of(place: Place): string {
    return `${this.#prefix}-${place}`;
  }

  get #hubSpace(): string {
    return `${this.#prefix}-hub`;
  }

  fault(link: LinkName, fault: HubFault): Promise<unknown> {
    return this.#hub.ask({ kind: 'fault', name: link, fault });
  }

  bytes(): Promise<HubAnswers['bytes']> {
    return this.#hub.ask({ kind: 'bytes' });
  }

  lateness(): Promise<HubAnswers['lateness']> {
    return this.#hub.ask({ kind: 'lateness' });
  }

  async close(): Promise<void> {
    await this.#hub.end();
    this.#remove();
  }

  #configure(space: string): void {
    // Routers forward, take answers from any side, and need not wait for duplicate address detection.
    const settings = [
      'ipv4/ip_forward=1',
      'ipv6/conf/all/forwarding=1',
      'ipv6/conf/all/accept_dad=0',
      'ipv6/conf/default/accept_dad=0',
      'ipv4/conf/all/rp_filter=0',
      'ipv4/conf/default/rp_filter=0',
    ];
    const script = settings.map(setting => {
      const [name, value] = setting.split('=');
      return `echo ${value} > /proc/sys/net/${name}`;
    });
    const args = ['netns', 'exec', space, 'sh', '-c', script.join(' && ')];
    execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
  }

  #joinHub(place: Place): void {
    const [space, number] = [this.of(place), numberOf(place)];
    ip(this.#hubSpace, [
      `link add port${number} type veth peer name uplink netns ${space}`,
      `address add 10.117.${number}.254/24 dev port${number}`,
      `link set port${number} up`,
    ]);
    ip(space, [
      'link set lo up',
      `address add ${loopback(place)}/32 dev lo`,
      `address add ${underlay(place)}/24 dev uplink`,
      'link set uplink up',
    ]);
  }

  #endOfLink(index: number, place: Place, neighbour: Place, address: string): void {
    const name = interfaceTo(neighbour);
    const ends = `local ${underlay(place)} remote 10.117.${numberOf(place)}.254`;
    ip(this.of(place), [
      `link add ${name} type vxlan id ${index + 1} ${ends} dstport ${FIRST_LINK_PORT + index} nolearning`,
      `link set ${name} mtu 1400 gso_max_segs 1`,
      `address add ${address}/30 dev ${name}`,
      `link set ${name} up`,
    ]);
  }

  #remove(): void {
    this.#forget();
    for (const space of this.#made.splice(0)) {
      try {
        execFileSync('ip', ['netns', 'del', space], { stdio: ['ignore', 'ignore', 'pipe'] }); // and the interfaces in it
      } catch (error) {
        process.stderr.write(`The network namespace ${space} could not be removed: ${reason(error)}\n`);
      }
    }
  }
}

/** Routing daemons of packets, babeld and BIRD: UDP messages from one loopback address to another. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from '../reroute/child.js';
import { PLACES, type Place, type RelayName } from '../reroute/diamond.js';
import { Daemon } from './daemon.js';
import type { Delivery } from './outage.js';
import type { ProbeRequest } from './probe-process.js';
import { DATA_PORT, interfaceTo, loopback, type Spaces } from './spaces.js';
import type { Running, System } from './systems.js';

const PROBE = new URL('./probe-process.ts', import.meta.url);
const MESSAGE_BYTES = 256;

/** One process that sends, one that receives. */
export class Probe {
  readonly #source: Child<ProbeRequest>;
  readonly #destination: Child<ProbeRequest>;

  constructor(spaces: Spaces) {
    this.#source = new Child('the sender', PROBE, undefined, spaces.of('source'));
    this.#destination = new Child('the receiver', PROBE, undefined, spaces.of('destination'));
  }

  async start(from: string, to: string, ratePerSecond: number, bytes: number = MESSAGE_BYTES): Promise<void> {
    const port = DATA_PORT;
    await this.#destination.ask({ kind: 'receive', port, ipv6: to.includes(':') });
    await this.#source.ask({ kind: 'send', ...{ to, port, from, ratePerSecond, bytes } });
  }

  async delivery(): Promise<Delivery> {
    const { atMs } = await this.#source.ask<Pick<Delivery, 'atMs'>>({ kind: 'sent' });
    const { oneWayMs } = await this.#destination.ask<Pick<Delivery, 'oneWayMs'>>({ kind: 'arrivals' });
    return { atMs, oneWayMs };
  }

  async end(): Promise<void> {
    await Promise.all([this.#source.end(), this.#destination.end()]);
  }
}

const neighboursOf = (place: Place): readonly Place[] =>
  place === 'a' || place === 'b' ? ['source', 'destination'] : ['a', 'b'];

interface Interface {
  readonly name: string;
  /** 1, and 2 on the links of relay B: were all alike, a daemon would now and then change its mind without a reason. */
  readonly cost: number;
}

const interfacesOf = (place: Place): readonly Interface[] =>
  neighboursOf(place).map(to => ({ name: interfaceTo(to), cost: place === 'b' || to === 'b' ? 2 : 1 }));

/** The command line of the daemon of one node, whose configuration is in `file`; `stem` begins the names of its other files. */
interface RoutingDaemon {
  readonly name: string;
  readonly program: string;
  readonly about: string;
  readonly settleMs: number;
  config(place: Place, interfaces: readonly Interface[]): string;
  command(file: string, stem: string): readonly string[];
}

function routed({ name, program, about, settleMs, config, command }: RoutingDaemon): System {
  return {
    ...{ name, about, settleMs, programs: [program] },
    async start(spaces, folder, ratePerSecond): Promise<Running> {
      const daemons = PLACES.map(place => {
        const stem = join(folder, place);
        writeFileSync(`${stem}.conf`, config(place, interfacesOf(place)));
        return new Daemon(spaces.of(place), [program, ...command(`${stem}.conf`, stem)], `${stem}.log`);
      });
      const probe = new Probe(spaces);
      await probe.start(loopback('source'), loopback('destination'), ratePerSecond);
      return {
        delivery: () => {
          for (const daemon of daemons) daemon.check();
          return probe.delivery();
        },
        dropData: (relay: RelayName, share) => spaces.fault(`source-${relay}`, { dataLoss: share }),
        async end() {
          await Promise.all([probe.end(), ...daemons.map(daemon => daemon.end())]);
        },
      };
    },
  };
}

function babeld(name: string, about: string, settleMs: number, interfaceOptions: string): System {
  return routed({
    ...{ name, about, settleMs, program: 'babeld' },
    config: (_place, interfaces) => `
${interfaces.map(one => `interface ${one.name} ${interfaceOptions} rxcost ${96 * one.cost}`).join('\n')}
redistribute local ip 10.119.0.0/24 allow
redistribute local deny
`,
    command: (file, stem) => ['-c', file, '-S', `${stem}.state`, '-I', `${stem}.pid`],
  });
}

/** It updates every 16 s, so it may take two of them until it prefers the cheaper route. */
export const babeldDefault: System = babeld('babeld', 'as it comes', 40_000, 'type wired');

/** Hellos ten times a second, and the round trip as a part of the metric, which it takes for tunnels. */
const TUNED = 'type tunnel link-quality false hello-interval 0.1 update-interval 0.4';
const TUNED_RTT = 'enable-timestamps true rtt-decay 128 rtt-min 10 rtt-max 60 max-rtt-penalty 500';
export const babeldTuned: System = babeld(
  'babeld tuned',
  'hellos every 100 ms, updates every 400 ms, the round trip in the metric',
  15_000,
  `${TUNED} ${TUNED_RTT}`,
);

export const bird: System = routed({
  name: 'BIRD',
  program: 'bird',
  // OSPF announces a change 5 s after the last one at the earliest: those of its start must be over.
  settleMs: 20_000,
  about: 'OSPF with hellos every second, BFD every 10 ms times 3',
  config: (place, interfaces) => `
router id ${loopback(place)};
protocol device { scan time 1; }
protocol kernel { ipv4 { import none; export all; }; }
protocol bfd { interface "to-*" { min rx interval 10 ms; min tx interval 10 ms; multiplier 3; }; }
protocol ospf v2 {
  ecmp no;
  ipv4 { import all; export none; };
  area 0 {
    interface "lo" { stub; };
${interfaces.map(one => `    interface "${one.name}" { type ptp; cost ${10 * one.cost}; hello 1; dead count 4; bfd on; };`).join('\n')}
  };
}
`,
  command: (file, stem) => ['-f', '-c', file, '-s', `${stem}.sock`, '-P', `${stem}.pid`],
});

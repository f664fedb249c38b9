/** When each hostile relay was found out: by flows that left it, and by nodes that named it. Fed with what nodes report. */
import type { Deed } from './trouble.js';

export interface OffenderReport {
  readonly relay: string;
  readonly deed: Deed;
  readonly atSeconds: number;
  /** Flows of bots that led over it when it turned, and those of them that left since. */
  readonly flows: number;
  readonly left: number;
  /** From when it turned until the first of them, and the last so far, had left. */
  readonly firstLeftMs: number | undefined;
  readonly lastLeftMs: number | undefined;
  /** Flows that lead over it now. */
  readonly crossing: number;
  /** Nodes that suspect it, or a link of it, and how long the first of them took. */
  readonly namedBy: readonly string[];
  readonly firstNamedMs: number | undefined;
}

interface Offender {
  readonly relay: string;
  readonly deed: Deed;
  readonly atSeconds: number;
  readonly atMs: number;
  readonly crossed: ReadonlySet<string>;
  readonly leftMs: Map<string, number>;
  readonly namedBy: Set<string>;
  firstNamedMs: number | undefined;
}

export class Offenders {
  readonly #offenders: Offender[] = [];

  /** The relay turns hostile while these flows lead over it. */
  begin(relay: string, deed: Deed, atSeconds: number, atMs: number, flows: Iterable<string>): void {
    const crossed = new Set(flows);
    const [leftMs, namedBy] = [new Map<string, number>(), new Set<string>()];
    this.#offenders.push({ relay, deed, atSeconds, atMs, crossed, leftMs, namedBy, firstNamedMs: undefined });
  }

  /** A flow left one route for another; both as names joined by ` > `. */
  left(flow: string, from: string, to: string, atMs: number): void {
    for (const offender of this.#offenders) {
      if (!crosses(from, offender.relay) || crosses(to, offender.relay)) continue;
      if (offender.crossed.has(flow) && !offender.leftMs.has(flow)) offender.leftMs.set(flow, atMs - offender.atMs);
    }
  }

  /** A node blames these: one relay, or both ends of a link. */
  named(by: string, suspect: readonly string[], cleared: boolean, atMs: number): void {
    for (const offender of this.#offenders) {
      if (!suspect.includes(offender.relay)) continue;
      if (cleared) offender.namedBy.delete(by);
      else {
        offender.namedBy.add(by);
        offender.firstNamedMs ??= atMs - offender.atMs;
      }
    }
  }

  /** `activeRoutes`: the routes of bots that are in use now. */
  reports(activeRoutes: readonly string[]): readonly OffenderReport[] {
    return this.#offenders.map(({ relay, deed, atSeconds, crossed, leftMs, namedBy, firstNamedMs }) => {
      const times = [...leftMs.values()];
      return {
        ...{ relay, deed, atSeconds, flows: crossed.size, left: times.length },
        firstLeftMs: times.length === 0 ? undefined : Math.min(...times),
        lastLeftMs: times.length === 0 ? undefined : Math.max(...times),
        crossing: activeRoutes.filter(route => crosses(route, relay)).length,
        namedBy: [...namedBy],
        firstNamedMs,
      };
    });
  }
}

export const crosses = (route: string, relay: string): boolean => route.split(' > ').includes(relay);

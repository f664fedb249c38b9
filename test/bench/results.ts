/** From samples to rows: medians, ratios round by round, and whether they reach their bars. Pure. */
import type { Sample, Selection } from './cases.js';
import { type Bar, MEASURES, processorTimeIds } from './measures.js';

/** A round is left out where other programs used more than this many cores and at least two quieter ones remain. */
export const QUIET_CORES = 0.35;

export interface Figure {
  readonly row: string;
  readonly adapter: string;
  readonly unit: string;
  readonly value: number;
  readonly rounds: number;
  /** Cores that other programs used, at worst, in the rounds that count. */
  readonly foreign: number;
}

export interface Ratio {
  readonly bar: string;
  readonly row: string;
  readonly ours: string;
  /** What it is compared with; undefined for an absolute bar. */
  readonly peer: string | undefined;
  readonly unit: string;
  readonly value: number;
  readonly peerValue: number | undefined;
  /** Median of the rounds' ratios; the value itself for an absolute bar. */
  readonly ratio: number;
  /**
   * How many times the processor time of ours the peer's is, per message of both ends together, per connection of the
   * client. On a busy machine it suffers less than rates do, which tell who else was running.
   */
  readonly processor: number | undefined;
  readonly atLeast: number | undefined;
  readonly atMost: number | undefined;
  readonly pass: boolean;
  /** Others took processor time in all rounds that count: the ratio says little, and `pass` nothing. */
  readonly disturbed: boolean;
  readonly rounds: number;
}

/** The whole of one run, as docs/data/channel.json holds it. */
export interface Recorded {
  readonly machine: { readonly cores: number; readonly node: string; readonly openssl: string };
  readonly rounds: number;
  readonly quick: boolean;
  readonly figures: readonly Figure[];
  readonly ratios: readonly Ratio[];
  readonly skipped: readonly string[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

const rounded = (value: number): number => Number(value.toPrecision(4));

/** The samples of one row, without rounds that others disturbed where two undisturbed ones remain. */
function samplesOf(samples: readonly Sample[], measure: string, adapter: string): readonly Sample[] {
  const all = samples.filter(sample => sample.measure === measure && sample.adapter === adapter);
  const quiet = all.filter(sample => sample.foreign <= QUIET_CORES);
  return quiet.length >= 2 ? quiet : all;
}

export function figures(samples: readonly Sample[]): Figure[] {
  return MEASURES.flatMap(({ id, unit, adapters }) =>
    adapters.flatMap(adapter => {
      const own = samplesOf(samples, id, adapter);
      if (own.length === 0) return [];
      const value = rounded(median(own.map(sample => sample.value)));
      const foreign = Math.max(...own.map(sample => sample.foreign));
      return [{ row: id, adapter, unit, value, rounds: own.length, foreign: rounded(foreign) }];
    }),
  );
}

/** Bars without samples of both sides are left out: the caller tells why there are none. */
export function ratios(samples: readonly Sample[], { bars }: Pick<Selection, 'bars'>): Ratio[] {
  return bars.flatMap(bar => ratioOf(samples, bar) ?? []);
}

function ratioOf(samples: readonly Sample[], bar: Bar): Ratio | undefined {
  const { measure, ours, against, atLeast, atMost } = bar;
  const own = samplesOf(samples, measure, ours);
  const peer = bar.peer ?? against;
  const others =
    peer === undefined ? undefined : samplesOf(samples, against ?? measure, against === undefined ? peer : ours);
  if (own.length === 0 || others?.length === 0) return undefined;
  const value = median(own.map(sample => sample.value));
  const peerValue = others && median(others.map(sample => sample.value));
  const byRound = new Map(others?.map(sample => [sample.round, sample.value]));
  const paired = own.flatMap(({ round, value: mine }) => {
    const other = byRound.get(round);
    return other === undefined ? [] : [mine / other];
  });
  const form = MEASURES.find(({ id }) => id === measure);
  const exact = peerValue === undefined ? value : paired.length > 0 ? median(paired) : value / peerValue;
  return {
    bar: bar.bar,
    row: measure,
    ours,
    peer,
    unit: form?.unit ?? '',
    value: rounded(value),
    peerValue: peerValue === undefined ? undefined : rounded(peerValue),
    ratio: rounded(exact),
    processor: bar.peer === undefined ? undefined : processorRatio(samples, measure, ours, bar.peer),
    atLeast,
    atMost,
    pass: atLeast === undefined ? exact <= (atMost ?? Number.NaN) : exact >= atLeast,
    disturbed: form?.job !== 'memory' && [...own, ...(others ?? [])].some(sample => sample.foreign > QUIET_CORES),
    rounds: peerValue === undefined ? own.length : paired.length,
  };
}

function processorRatio(samples: readonly Sample[], measure: string, ours: string, peer: string): number | undefined {
  const ids = processorTimeIds(measure);
  const cost = (adapter: string): number =>
    ids
      .map(id => median(samplesOf(samples, id, adapter).map(sample => sample.value)))
      .reduce((sum, value) => sum + value, 0);
  const exact = cost(peer) / cost(ours);
  return Number.isNaN(exact) ? undefined : rounded(exact);
}

/**
 * Which ratios are worse by more than a tenth than those of an earlier run. Disturbed ones are not compared: they would
 * tell what else the machine did.
 */
export function fallenBack(before: readonly Ratio[], now: readonly Ratio[]): string[] {
  const TOLERANCE = 1.1;
  return now.flatMap(ratio => {
    const same = before.find(({ row, ours, peer }) => row === ratio.row && ours === ratio.ours && peer === ratio.peer);
    if (same === undefined || same.disturbed || ratio.disturbed) return [];
    const worsening = ratio.atLeast === undefined ? ratio.ratio / same.ratio : same.ratio / ratio.ratio;
    if (worsening <= TOLERANCE) return [];
    return [
      `${ratio.bar} ${ratio.row} ${ratio.ours} against ${ratio.peer ?? 'its bar'}: ${same.ratio} then, ${ratio.ratio} now`,
    ];
  });
}

/**
 * Round-trip times between places, and how they change: measured ones from the shared data folder, or generated ones
 * where it is absent.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type { SeededRng } from '../../../lib/sim/index.js';

export interface Latencies {
  readonly source: string;
  readonly places: number;
  /** Between two places, or within one. */
  rttMs(a: number, b: number): number;
  /** How much slower than usual a link is, which follows this trace, at this step. */
  slowdown(trace: number, step: number): number;
}

/** The Seattle trace has a round every so often. */
export const STEP_MS = 15_700;

const FOLDER = new URL('../../../../shared/data/latency/', import.meta.url);
const AWS = fileURLToPath(new URL('aws-cloudping-p50.json', FOLDER));
const SEATTLE = fileURLToPath(new URL('seattle-31x31x688.json.gz', FOLDER));
const MIN_RTT_MS = 0.5;
const EARTH_RTT_MS = 200;

export function readLatencies(rng: SeededRng): Latencies {
  return existsSync(AWS) && existsSync(SEATTLE) ? measured() : generated(rng);
}

function measured(): Latencies {
  const { data } = JSON.parse(readFileSync(AWS, 'utf8')) as { data: Record<string, Record<string, number>> };
  const regions = Object.keys(data);
  const { rtt } = JSON.parse(gunzipSync(readFileSync(SEATTLE)).toString()) as { rtt: number[][][] };
  const hosts = rtt[0]?.length ?? 0;
  const seriesOf = (trace: number): number[] => {
    const a = trace % hosts;
    const b = (a + 1 + (Math.floor(trace / hosts) % (hosts - 1))) % hosts;
    return rtt.map(round => round[a]?.[b] ?? 0);
  };
  const ratios = new Map<number, readonly number[]>();
  return {
    source: 'measured: AWS regions, median; Seattle trace',
    places: regions.length,
    rttMs: (a, b) => Math.max(data[regions[a] as string]?.[regions[b] as string] ?? MIN_RTT_MS, MIN_RTT_MS),
    slowdown: (trace, step) => {
      let series = ratios.get(trace);
      if (series === undefined) {
        const values = seriesOf(trace);
        const usual = median(values.filter(value => value > 0));
        series = values.map(value => (value > 0 ? value / usual : 1));
        ratios.set(trace, series);
      }
      return series[step % series.length] as number;
    },
  };
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 1;

/** Places on a square; links that get up to four times slower and stay so for some rounds. */
function generated(rng: SeededRng): Latencies {
  const places = Array.from({ length: 33 }, () => [rng.float(), rng.float()] as const);
  const at = (place: number): readonly [number, number] => places[place] as readonly [number, number];
  return {
    source: 'generated: the shared data folder is absent',
    places: places.length,
    rttMs: (a, b) => Math.max(EARTH_RTT_MS * Math.hypot(at(a)[0] - at(b)[0], at(a)[1] - at(b)[1]), MIN_RTT_MS),
    slowdown: (trace, step) => {
      const draw = rng.fork(`${trace}/${Math.floor(step / 5)}`);
      return draw.chance(0.3) ? draw.between(1, 4) : 1;
    },
  };
}

import t from 'tap';
import { type Sample, select } from '../bench/cases.js';
import type { Bar } from '../bench/measures.js';
import { performancePage } from '../bench/page.js';
import { svgOf } from '../bench/plot.js';
import { fallenBack, figures, type Ratio, ratios } from '../bench/results.js';
import { withSection, withSectionsOf } from '../bench/sections.js';

const sample = (
  measure: string,
  adapter: string,
  values: readonly number[],
  foreign: readonly number[] = [],
): Sample[] => values.map((value, round) => ({ measure, adapter, round, value, foreign: foreign[round] ?? 0 }));

const bar: Bar = { bar: 'P1', measure: 'oneway-256', ours: 'hopfair-ws', peer: 'ws', atLeast: 10 };

t.test('a ratio is the median of the ratios of rounds, not the ratio of medians', async t => {
  const samples = [...sample('oneway-256', 'hopfair-ws', [100, 50, 300]), ...sample('oneway-256', 'ws', [10, 20, 40])];
  const [ratio] = ratios(samples, { bars: [bar] });
  t.match(ratio, { ratio: 7.5, value: 100, peerValue: 20, rounds: 3, pass: false });
});

t.test('rounds that others disturbed are left out where two quiet ones remain', async t => {
  const disturbed = sample('oneway-256', 'ws', [1, 10, 12], [1.5, 0, 0.1]);
  t.match(figures(disturbed), [{ row: 'oneway-256', adapter: 'ws', value: 11, rounds: 2, foreign: 0.1 }]);
  const allDisturbed = sample('oneway-256', 'ws', [1, 10, 12], [1.5, 0, 1]);
  t.match(figures(allDisturbed), [{ value: 10, rounds: 3, foreign: 1.5 }]);
});

t.test('a bar may be absolute, or against another measure of ours', async t => {
  const samples = [
    ...sample('memory-1000', 'hopfair-tcp', [25]),
    ...sample('beside-bulk', 'hopfair-tcp', [90]),
    ...sample('beside-alone', 'hopfair-tcp', [100]),
  ];
  const bars: Bar[] = [
    { bar: 'P8', measure: 'memory-1000', ours: 'hopfair-tcp', atMost: 24 },
    { bar: 'P5', measure: 'beside-bulk', ours: 'hopfair-tcp', against: 'beside-alone', atLeast: 0.8 },
    { bar: 'P4', measure: 'open-p99', ours: 'hopfair-tcp', peer: 'wss', atMost: 1 },
  ];
  t.match(ratios(samples, { bars }), [
    { bar: 'P8', ratio: 25, peerValue: undefined, pass: false },
    { bar: 'P5', ratio: 0.9, peer: 'beside-alone', peerValue: 100, pass: true },
  ]);
  t.equal(ratios(samples, { bars }).length, 2, 'what was not measured has no row');
});

t.test('a ratio of rounds that others disturbed is told to be so, and is no regression', async t => {
  const quiet = [...sample('oneway-256', 'hopfair-ws', [100]), ...sample('oneway-256', 'ws', [10])];
  const busy = [...sample('oneway-256', 'hopfair-ws', [50]), ...sample('oneway-256', 'ws', [10], [0.5])];
  const [before, now] = [quiet, busy].map(samples => ratios(samples, { bars: [bar] }));
  t.match([before, now], [[{ disturbed: false }], [{ disturbed: true }]]);
  t.same(fallenBack(before ?? [], now ?? []), []);
  const memory: Bar = { bar: 'P8', measure: 'memory-1000', ours: 'hopfair-tcp', atMost: 24 };
  t.match(ratios(sample('memory-1000', 'hopfair-tcp', [20], [2]), { bars: [memory] }), [
    { disturbed: false, pass: true },
  ]);
});

t.test('what is worse by more than a tenth has fallen back, in the direction of its bar', async t => {
  const before = ratios([...sample('oneway-256', 'hopfair-ws', [100]), ...sample('oneway-256', 'ws', [10])], {
    bars: [bar],
  });
  const withRatio = (ratio: number): Ratio[] => before.map(row => ({ ...row, ratio }));
  t.same(fallenBack(before, withRatio(9.2)), []);
  t.equal(fallenBack(before, withRatio(8.9)).length, 1);
  const atMost = (ratio: number): Ratio[] => before.map(row => ({ ...row, ratio, atLeast: undefined, atMost: 20 }));
  t.same(fallenBack(atMost(10), atMost(10.9)), []);
  t.equal(fallenBack(atMost(10), atMost(11.2)).length, 1);
});

t.test('beside a ratio of rates stands the ratio of processor time, of both ends together', async t => {
  const samples = [
    ...sample('oneway-256', 'hopfair-ws', [5]),
    ...sample('oneway-256', 'ws', [1]),
    ...sample('oneway-256-cpu-send', 'hopfair-ws', [1]),
    ...sample('oneway-256-cpu-receive', 'hopfair-ws', [2]),
    ...sample('oneway-256-cpu-send', 'ws', [10]),
    ...sample('oneway-256-cpu-receive', 'ws', [14]),
  ];
  t.match(ratios(samples, { bars: [bar] }), [{ ratio: 5, processor: 8 }]);
  t.match(ratios(samples.slice(0, 2), { bars: [bar] }), [{ processor: undefined }]);
});

t.test('a plot puts values on logarithmic axes and keeps the names of lines apart', async t => {
  const ticks = [[1, 'one'] as const, [10, 'ten'] as const, [100, 'hundred'] as const];
  const line = (name: string, last: number) => ({ name, points: [[1, 10] as const, [100, last] as const] });
  const lost = { name: 'lost', points: [[1, -1] as const, [100, 500] as const] };
  const svg = svgOf({
    title: 'Costs',
    unit: 'us',
    xTicks: ticks,
    series: [line('ours', 1_000), line('theirs', 999), lost],
  });
  t.match(svg, '>10</text>');
  t.match(svg, '>1 k</text>');
  t.notMatch(svg, 'NaN');
  t.match(svg, '<title>Costs</title>');
  const heights = [...svg.matchAll(/y="([\d.]+)" text-anchor="start" fill="#[\da-f]+">(?:ours|theirs)</g)].map(m =>
    Number(m[1]),
  );
  t.equal(heights.length, 2);
  t.ok(Math.abs((heights[0] ?? 0) - (heights[1] ?? 0)) >= 16, 'one name does not cover the other');
  const places = [...svg.matchAll(/x="([\d.]+)" y="[\d.]+" text-anchor="middle"/g)].map(m => Number(m[1]));
  t.equal((places[0] ?? 0) + (places[2] ?? 0), 2 * (places[1] ?? 0), 'ten is in the middle of one and a hundred');
});

t.test('rows are chosen by id, by how ids begin, or by bar; a name that fits nothing is refused', async t => {
  const chosen = (...names: string[]): string[] => {
    const { measures, isWanted } = select(names);
    return measures.flatMap(m =>
      m.adapters.filter(adapter => isWanted(m, adapter)).map(adapter => `${m.id} ${adapter}`),
    );
  };
  t.same(chosen('P8'), ['memory-1000 hopfair-tcp', 'memory-1000 hopfair-ws']);
  t.ok(chosen('memory').includes('memory-100 ws'));
  t.notOk(chosen('oneway-64').some(row => row.startsWith('oneway-65536')));
  t.throws(() => select(['oneway-65']), /no row or bar "oneway-65"/);
});

t.test('the page says of every bar whether it is reached', async t => {
  const samples = [...sample('oneway-256', 'hopfair-ws', [99]), ...sample('oneway-256', 'ws', [10])];
  const machine = { cores: 2, node: '20.0.0', openssl: '3.0.0' };
  const page = performancePage({
    machine,
    rounds: 1,
    quick: false,
    figures: figures(samples),
    ratios: ratios(samples, { bars: [bar] }),
    skipped: ['link: no namespaces'],
  });
  t.match(page, '| P1 | oneway-256 | hopfair-ws | 99 msgs/s | ws: 10 | 9.9x | ≥ 10 | falls short |');
  t.match(page, '| hopfair-ws | – | 99 |');
  t.match(page, 'Not measured: link: no namespaces.');
});

t.test('a command replaces its own section of the page and keeps those of others', async t => {
  const page = withSection(withSection('# Channels\n', 'one', 'first'), 'two', 'second');
  const replaced = withSection(page, 'one', 'third');
  t.match(replaced, /# Channels[\s\S]*third[\s\S]*second/, 'in its place');
  t.notMatch(replaced, /first/);
  const anew = withSectionsOf('# Channels anew\n', replaced);
  t.equal(anew, replaced.replace('# Channels', '# Channels anew'), 'whoever writes the rest of the page keeps both');
  t.equal(withSectionsOf('# Channels anew\n', ''), '# Channels anew\n');
});

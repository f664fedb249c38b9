/** Lines over logarithmic axes as an SVG file: how a cost grows is a slope there. Pure. */

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Plot {
  readonly title: string;
  readonly xTicks: readonly (readonly [x: number, label: string])[];
  readonly unit: string;
  readonly series: readonly Series[];
}

const WIDTH = 760;
const HEIGHT = 420;
const LEFT = 70;
const RIGHT = 150;
const TOP = 40;
const BOTTOM = 40;
/** Distinct for people who do not tell red from green, too (Okabe and Ito). */
const COLOURS = ['#d55e00', '#0072b2', '#009e73', '#e69f00', '#56b4e9', '#cc79a7', '#000000'];
const LABEL_HEIGHT = 16;

const decade = (value: number): string =>
  value >= 1e6 ? `${value / 1e6} M` : value >= 1e3 ? `${value / 1e3} k` : String(value);

/** What is not positive (a difference lost in noise) has no place on these axes; a series without points has no line. */
export function svgOf({ title, xTicks, unit, series }: Plot): string {
  const drawn = series
    .map(({ name, points }) => ({ name, points: points.filter(([, y]) => y > 0) }))
    .filter(({ points }) => points.length > 0);
  const xs = xTicks.map(([x]) => Math.log10(x));
  const ys = drawn.flatMap(({ points }) => points.map(([, y]) => Math.log10(y)));
  const [xLow, xHigh] = [Math.min(...xs), Math.max(...xs)];
  const [yLow, yHigh] = [Math.floor(Math.min(...ys)), Math.ceil(Math.max(...ys))];
  const at = (x: number): string =>
    (LEFT + ((Math.log10(x) - xLow) / (xHigh - xLow)) * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const height = (y: number): number =>
    HEIGHT - BOTTOM - ((Math.log10(y) - yLow) / Math.max(yHigh - yLow, 1)) * (HEIGHT - TOP - BOTTOM);
  const lines: string[] = [];
  const text = (x: number | string, y: number | string, anchor: string, words: string, colour = '#333'): void => {
    lines.push(`<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${colour}">${words}</text>`);
  };
  for (let power = yLow; power <= yHigh; power++) {
    const y = height(10 ** power).toFixed(1);
    lines.push(`<path d="M${LEFT} ${y}H${WIDTH - RIGHT}" stroke="#ddd"/>`);
    text(LEFT - 6, y, 'end', decade(10 ** power));
  }
  for (const [x, label] of xTicks) text(at(x), HEIGHT - BOTTOM + 18, 'middle', label);
  text(LEFT, TOP - 16, 'start', `${title} (${unit})`);
  const ends = labelHeights(drawn.map(({ points }) => height(points.at(-1)?.[1] ?? 1)));
  for (const [i, { name, points }] of drawn.entries()) {
    const colour = COLOURS[i % COLOURS.length] as string;
    const path = points.map(([x, y], j) => `${j === 0 ? 'M' : 'L'}${at(x)} ${height(y).toFixed(1)}`).join('');
    lines.push(`<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    text(WIDTH - RIGHT + 8, (ends[i] as number).toFixed(1), 'start', name, colour);
  }
  const style = 'font-family="sans-serif" font-size="13"';
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" ${style}>`;
  return `${head}\n<title>${title}</title>\n<rect width="100%" height="100%" fill="#fff"/>\n${lines.join('\n')}\n</svg>\n`;
}

/** Where the names of lines stand that end at these heights: moved down as far as needed to be read one by one. */
function labelHeights(ends: readonly number[]): number[] {
  const heights = [...ends];
  const order = [...ends.keys()].sort((a, b) => (ends[a] as number) - (ends[b] as number));
  for (const [place, i] of order.entries()) {
    const above = place === 0 ? Number.NEGATIVE_INFINITY : (heights[order[place - 1] as number] as number);
    heights[i] = Math.max(ends[i] as number, above + LABEL_HEIGHT);
  }
  return heights;
}

/** Where a command writes. Results go to `out`, one per line and as JSON where asked for; explanations go to `err`. */
export interface Output {
  out(line: string): void;
  err(line: string): void;
  /** Wipes what stands there, where that is possible: the next result takes its place. */
  clear?(): void;
}

export const processOutput: Output = {
  out: line => void process.stdout.write(`${line}\n`),
  err: line => void process.stderr.write(`${line}\n`),
  ...(process.stdout.isTTY && { clear: () => void process.stdout.write('\x1b[H\x1b[2J') }),
};

/** Lines of `name  value` with the values aligned. */
export function table(rows: readonly (readonly [string, string | number])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}

/** A header and rows, aligned; a column that is empty in all rows is left out. */
export function columns(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const shown = header.map((_, at) => at).filter(at => rows.some(row => row[at] !== ''));
  const widths = shown.map(at => Math.max(...[header, ...rows].map(row => row[at]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    shown
      .map((at, i) => (row[at] ?? '').padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd();
  return [header, ...rows].map(line).join('\n');
}

/** What came from elsewhere, without characters that move the cursor of a terminal or pass for something else. */
export const printable = (text: string): string => text.replace(/(?!\n)\p{C}/gu, '?');

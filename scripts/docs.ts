/**
 * Writes docs/errors.md and docs/limits.md from the source, so that they are never stale: `npm run docs`, and with
 * `--check` only tells whether they are (the test command does).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Row {
  readonly name: string;
  readonly value: string;
  /** Comments that stand right before it: sections as `//`, explanations as `/** … *\/`. */
  readonly section: string | undefined;
  readonly explanation: string;
}

/** The properties of the one object literal that the file exports under this name, with their comments. */
function rowsOf(file: string, constant: string): Row[] {
  const text = readFileSync(root + file, 'utf8');
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true);
  const rows: Row[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isVariableDeclaration(node) && node.name.getText() === constant && node.initializer)
      collect(node.initializer);
    else ts.forEachChild(node, visit);
  };
  const collect = (initializer: ts.Expression): void => {
    const object = ts.isAsExpression(initializer) ? initializer.expression : initializer;
    for (const property of ts.isObjectLiteralExpression(object) ? object.properties : []) {
      if (!ts.isPropertyAssignment(property)) continue;
      const comments = (ts.getLeadingCommentRanges(text, property.pos) ?? []).map(range =>
        text.slice(range.pos, range.end),
      );
      const section = comments
        .find(comment => comment.startsWith('//'))
        ?.slice(2)
        .trim();
      const explanation = comments
        .filter(comment => comment.startsWith('/**'))
        .map(comment =>
          comment
            .replace(/^\/\*\*|\*\/$|^\s*\* ?/gm, '')
            .replace(/\s+/g, ' ')
            .trim(),
        )
        .join(' ');
      rows.push({ name: property.name.getText(), value: property.initializer.getText(), section, explanation });
    }
  };
  visit(source);
  return rows;
}

function table(header: readonly string[], rows: readonly Row[], columns: (row: Row) => readonly string[]): string {
  const lines: string[] = [];
  const head = () => lines.push(`| ${header.join(' | ')} |`, `|${' --- |'.repeat(header.length)}`);
  if (rows[0]?.section === undefined) head();
  for (const row of rows) {
    if (row.section !== undefined) {
      lines.push('', `## ${row.section.charAt(0).toUpperCase()}${row.section.slice(1)}`, '');
      head();
    }
    lines.push(
      `| ${columns(row)
        .map(cell => cell.replaceAll('|', '\\|'))
        .join(' | ')} |`,
    );
  }
  return lines.join('\n').trim();
}

const unquote = (literal: string): string => literal.replace(/^['"`]|['"`]$/g, '');

const pages: Record<string, string> = {
  'docs/errors.md': `# Error codes

Everything that hopfair throws or rejects with is a \`HopfairError\` with one of these codes. Codes are stable, messages are
not. \`retryable\` is true when the same call can succeed later without a change. What a *peer* did wrong never throws:
it closes a channel, or is counted against a route.

${table(['code', 'meaning'], rowsOf('lib/errors.ts', 'ERROR_CODES'), row => [`\`${row.name}\``, unquote(row.value)])}
`,
  'docs/limits.md': `# Limits

What a stranger, a peer or a hostile committee member can make this process hold or do is bounded by these numbers. Lengths and
counts are checked before anything is allocated for them.

${table(['limit', 'default', 'why'], rowsOf('lib/limits.ts', 'LIMITS'), row => [`\`${row.name}\``, row.value.replaceAll('_', ','), row.explanation])}
`,
};

const check = process.argv.includes('--check');
let stale = 0;
for (const [file, wanted] of Object.entries(pages)) {
  let present: string | undefined;
  try {
    present = readFileSync(root + file, 'utf8');
  } catch {
    present = undefined; // not written yet
  }
  if (present === wanted) continue;
  stale++;
  if (check) console.error(`${file} is not what the source says: run npm run docs`);
  else writeFileSync(root + file, wanted);
}
process.exitCode = check && stale > 0 ? 1 : 0;

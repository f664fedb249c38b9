/**
 * docs/performance.md has sections that different commands write, each between two marks that no reader sees. A command
 * replaces its own and leaves the others alone. Pure.
 */
const beginOf = (name: string): string => `<!-- ${name}: begin -->`;
const endOf = (name: string): string => `<!-- ${name}: end -->`;
const SECTION = /<!-- (\S+): begin -->\n[\s\S]*?\n<!-- \1: end -->/g;

/** The page with this section: in its place, or at the end when it is new. */
export function withSection(page: string, name: string, text: string): string {
  const section = `${beginOf(name)}\n\n${text.trim()}\n\n${endOf(name)}`;
  const from = page.indexOf(beginOf(name));
  const to = page.indexOf(endOf(name));
  if (from < 0 || to < from) return `${page.trimEnd()}\n\n${section}\n`;
  return page.slice(0, from) + section + page.slice(to + endOf(name).length);
}

/** A page written anew, with the sections that others wrote into the one before. */
export function withSectionsOf(page: string, before: string): string {
  return [...before.matchAll(SECTION)].reduce((text, [section]) => `${text.trimEnd()}\n\n${section}\n`, page);
}

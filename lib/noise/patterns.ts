/**
 * Handshake patterns: the table parsed, and the modifiers applied to it: `psk0`..`psk9` (Noise spec section 9.4),
 * `fallback` (section 10.2) and `hfs` (Noise HFS extension, with a KEM in the place of the second DH).
 */
import { HopfairError } from '../errors.js';
import { PATTERN_TABLE } from './pattern-table.js';

export type Token = 'e' | 's' | 'ee' | 'es' | 'se' | 'ss' | 'psk' | 'e1' | 'ekem1';
export type PublicKeyToken = 'e' | 's';

export interface MessagePattern {
  readonly fromInitiator: boolean;
  readonly tokens: readonly Token[];
}

export interface PreMessagePattern {
  readonly fromInitiator: boolean;
  readonly tokens: readonly PublicKeyToken[];
}

export interface HandshakePattern {
  readonly name: string;
  /** Public keys known beforehand, the initiator's first. */
  readonly preMessages: readonly PreMessagePattern[];
  readonly messages: readonly MessagePattern[];
}

const TOKENS: ReadonlySet<string> = new Set(['e', 's', 'ee', 'es', 'se', 'ss', 'psk', 'e1', 'ekem1']);
const isToken = (text: string): text is Token => TOKENS.has(text);
const isPublicKeyToken = (token: Token): token is PublicKeyToken => token === 'e' || token === 's';

const unsupported = (name: string, why: string): HopfairError =>
  new HopfairError('INVALID_ARGUMENT', `handshake pattern ${name}: ${why}`);

function parseLine(name: string, line: string): MessagePattern {
  const match = /^(->|<-) (.+)$/.exec(line.trim());
  const [, arrow, list = ''] = match ?? [];
  const tokens = list.split(', ').filter(isToken);
  if (match === null || tokens.length !== list.split(', ').length) throw unsupported(name, `malformed line "${line}"`);
  return { fromInitiator: arrow === '->', tokens };
}

function toPreMessage(name: string, { fromInitiator, tokens }: MessagePattern): PreMessagePattern {
  const keys = tokens.filter(isPublicKeyToken);
  if (keys.length !== tokens.length) throw unsupported(name, 'a pre-message can only carry public keys');
  return { fromInitiator, tokens: keys };
}

function parseEntry(entry: string): HandshakePattern {
  const [name = '', body = ''] = entry.split(/:\s+/);
  const lines = body.split(' | ');
  const separator = lines.indexOf('...');
  const parsed = lines.filter(line => line !== '...').map(line => parseLine(name, line));
  const preMessages = parsed.slice(0, Math.max(separator, 0)).map(line => toPreMessage(name, line));
  return { name, preMessages, messages: parsed.slice(Math.max(separator, 0)) };
}

const PATTERNS: ReadonlyMap<string, HandshakePattern> = new Map(
  PATTERN_TABLE.split('\n')
    .filter(line => line !== '')
    .map(parseEntry)
    .map(pattern => [pattern.name, pattern]),
);

/** The names of the patterns without modifiers. */
export const PATTERN_NAMES: readonly string[] = [...PATTERNS.keys()];

const mapMessage = (
  pattern: HandshakePattern,
  index: number,
  change: (tokens: readonly Token[]) => readonly Token[],
): HandshakePattern => ({
  ...pattern,
  messages: pattern.messages.map((m, i) => (i === index ? { ...m, tokens: change(m.tokens) } : m)),
});

/** Section 9.4: psk0 stands at the beginning of the first message, pskN at the end of the Nth. */
function applyPsk(pattern: HandshakePattern, position: number): HandshakePattern {
  if (position > pattern.messages.length) throw unsupported(pattern.name, `has no message ${position} for psk`);
  if (position === 0) return mapMessage(pattern, 0, tokens => ['psk', ...tokens]);
  return mapMessage(pattern, position - 1, tokens => [...tokens, 'psk']);
}

/**
 * Section 10.2: the first message becomes a pre-message, and the other end begins. Roles are exchanged with it, so that
 * the initiator of a pattern is always who sends its first message.
 */
function applyFallback(pattern: HandshakePattern): HandshakePattern {
  const [first, ...rest] = pattern.messages;
  if (first === undefined || rest.length === 0) throw unsupported(pattern.name, 'cannot fall back');
  const exchanged: Partial<Record<Token, Token>> = { es: 'se', se: 'es' };
  const exchange = ({ fromInitiator, tokens }: MessagePattern): MessagePattern => ({
    fromInitiator: !fromInitiator,
    tokens: tokens.map(token => exchanged[token] ?? token),
  });
  const before = [...pattern.preMessages, toPreMessage(pattern.name, first)];
  return {
    name: pattern.name,
    preMessages: before.map(line => ({ ...line, fromInitiator: !line.fromInitiator })),
    messages: rest.map(exchange),
  };
}

const isDh = (token: Token | undefined): boolean =>
  token === 'ee' || token === 'es' || token === 'se' || token === 'ss';

function insertAfter(tokens: readonly Token[], token: Token, added: Token, skip: (t: Token | undefined) => boolean) {
  let at = tokens.indexOf(token) + 1;
  while (skip(tokens[at])) at++;
  return [...tokens.slice(0, at), added, ...tokens.slice(at)];
}

/**
 * HFS extension, section 2: `e1` follows the first `e`, behind a DH that stands there already, so that it is encrypted
 * where it can be; `ekem1` follows the first `ee`.
 */
function applyHfs(pattern: HandshakePattern): HandshakePattern {
  const first = pattern.messages.findIndex(m => m.tokens.includes('e'));
  const answer = pattern.messages.findIndex(m => m.tokens.includes('ee'));
  if (first !== 0 || answer < 1) throw unsupported(pattern.name, 'has no ee for hfs');
  const offered = mapMessage(pattern, first, tokens => insertAfter(tokens, 'e', 'e1', isDh));
  return mapMessage(offered, answer, tokens => insertAfter(tokens, 'ee', 'ekem1', () => false));
}

/**
 * Parses the pattern part of a protocol name, e.g. `XX`, `IKpsk2`, `XXfallback`, `XXhfs` or `NNpsk0+psk2`.
 * Throws INVALID_ARGUMENT for a pattern or modifier that is not known.
 */
export function parsePattern(name: string): HandshakePattern {
  const [, base = '', modifiers = ''] = /^([A-Z0-9]+)([a-z0-9+]*)$/.exec(name) ?? [];
  let pattern = PATTERNS.get(base);
  if (pattern === undefined) throw unsupported(name, 'unknown');
  for (const modifier of modifiers === '' ? [] : modifiers.split('+')) {
    const [, psk] = /^psk([0-9])$/.exec(modifier) ?? [];
    if (psk !== undefined) pattern = applyPsk(pattern, Number(psk));
    else if (modifier === 'fallback') pattern = applyFallback(pattern);
    else if (modifier === 'hfs') pattern = applyHfs(pattern);
    else throw unsupported(name, `unknown modifier "${modifier}"`);
  }
  return { ...pattern, name };
}

/** Asks the view of a node (lib/view) and believes nothing that does not look like one. */
import { HopfairError } from '../errors.js';
import type { PeersAnswer, RoutesAnswer, ViewAnswer, ViewError, WhyAnswer } from '../view/index.js';

/** Thousands of peers are a megabyte. */
const MAX_ANSWER_BYTES = 16_777_216;
const TIMEOUT_MS = 5_000;

interface Answers {
  readonly peers: PeersAnswer;
  readonly routes: RoutesAnswer;
  readonly why: WhyAnswer;
}

/** Rejects with DIAL_FAILED, TIMEOUT, DECODE_FAILED or INVALID_ARGUMENT, each with what to do in its message. */
export async function askView<K extends ViewAnswer['kind']>(
  url: string,
  kind: K,
  peer?: string,
  signal?: AbortSignal,
): Promise<Answers[K]> {
  const target = `${baseOf(url)}/${kind}${peer === undefined ? '' : `/${encodeURIComponent(peer)}`}`;
  const answer = await fetchJson(target, signal);
  if (typeof answer !== 'object' || answer === null || (answer as { view?: unknown }).view !== 1) {
    throw new HopfairError('DECODE_FAILED', `${target} is not the view of a node: is the port that of serveNodeView?`);
  }
  const { kind: got } = answer as ViewAnswer | ViewError;
  if (got === 'error') throw new HopfairError('INVALID_ARGUMENT', (answer as ViewError).message);
  if (got !== kind) throw new HopfairError('DECODE_FAILED', `${target} answered with "${String(got)}"`);
  return answer as Answers[K];
}

function baseOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) {
    throw new HopfairError('INVALID_ARGUMENT', `"${url}" is no URL of a view, such as http://127.0.0.1:7070`);
  }
  return parsed.href.replace(/\/+$/, '');
}

async function fetchJson(target: string, signal: AbortSignal | undefined): Promise<unknown> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(target, {
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      redirect: 'error',
    });
    return JSON.parse(await boundedText(response));
  } catch (cause) {
    if (cause instanceof HopfairError) throw cause;
    if (signal?.aborted) throw new HopfairError('ABORTED', 'interrupted', { cause });
    if (timeout.aborted)
      throw new HopfairError('TIMEOUT', `${target} did not answer within ${TIMEOUT_MS} ms`, { cause });
    if (cause instanceof SyntaxError) {
      throw new HopfairError('DECODE_FAILED', `${target} is not the view of a node: its answer is no JSON`, { cause });
    }
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
    throw new HopfairError('DIAL_FAILED', `no node shows its view at ${target}: ${reason}`, { cause });
  }
}

async function boundedText(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    length += part.length;
    if (length > MAX_ANSWER_BYTES) throw new HopfairError('LIMIT_EXCEEDED', `more than ${MAX_ANSWER_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

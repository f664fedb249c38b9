/**
 * The client, once for each place that a browser has for code: a page is asked through the global `hopfairTest`, a worker
 * through its messages, a shared worker through those of its port.
 */
import { exchange, refusal } from './channel.js';
import { measure } from './measure.js';
import { meet } from './node.js';

const scenarios = { exchange, refusal, meet, measure };

interface Port {
  onmessage: ((event: { data: { name: keyof typeof scenarios; config: never } }) => void) | null;
  postMessage(data: unknown): void;
}

function answer(port: Port): void {
  port.onmessage = ({ data: { name, config } }) => {
    scenarios[name](config).then(
      report => port.postMessage({ report }),
      (error: unknown) => port.postMessage({ error: String(error) }),
    );
  };
}

const global = globalThis as unknown as Port & {
  readonly document?: unknown;
  hopfairTest: typeof scenarios;
  onconnect?: ((event: { ports: readonly [Port] }) => void) | null;
};

if (global.document !== undefined) global.hopfairTest = scenarios;
else if (global.onconnect !== undefined) global.onconnect = ({ ports: [port] }) => answer(port);
else answer(global);

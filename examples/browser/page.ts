/** The page: shows what the worker says, and hands it the clicks. It knows nothing of hopfair. */
import type { FromTrader, Side } from './words.js';

/** What is used of the platform: the repository is checked without DOM types. */
interface Element {
  textContent: string | null;
  disabled: boolean;
  addEventListener(event: 'click', listener: () => void): void;
  prepend(...lines: string[]): void;
}
declare const document: { getElementById(id: string): Element };
declare const Worker: new (
  url: string,
  options: { type: 'module' },
) => {
  onmessage: ((event: { data: FromTrader }) => void) | null;
  onerror: ((event: { message: string }) => void) | null;
  postMessage(side: Side): void;
};

const [book, log] = [document.getElementById('book'), document.getElementById('log')];
const buttons = (['buy', 'sell'] as const).map(side => ({ side, element: document.getElementById(side) }));
const write = (line: string): void => log.prepend(`${line}\n`);

const trader = new Worker('/trader.js', { type: 'module' });
trader.onerror = ({ message }) => write(`the worker failed: ${message}`);
trader.onmessage = ({ data: word }) => {
  if (word.kind === 'book') book.textContent = `${word.bid} / ${word.ask}`;
  else if (word.kind === 'accepted') write(`order ${word.order} accepted`);
  else if (word.kind === 'log') write(word.line);
  else for (const { element } of buttons) element.disabled = false;
};
for (const { side, element } of buttons) element.addEventListener('click', () => trader.postMessage(side));

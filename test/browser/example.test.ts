import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t from 'tap';
import { openBrowser, skipped } from './chromium.js';
import { buildPackage, root } from './package.js';

/** It builds the package first, which takes long where many things run. */
t.setTimeout(240_000);

/** Starts the example as its page in docs/ says, and waits for the address of its site. */
async function startExample(): Promise<{ example: ChildProcess; url: string }> {
  const tsx = join(root, 'node_modules/.bin/tsx');
  const example = spawn(tsx, [join(root, 'examples/browser/main.ts'), '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: example.stdout });
  const [url] = (await once(lines, 'line')) as [string];
  return { example, url };
}

t.test(
  'the example of docs/browser.md: a page shows the book, and its orders are accepted',
  { skip: skipped },
  async t => {
    buildPackage();
    const { example, url } = await startExample();
    const gone = once(example, 'exit');
    t.teardown(() => example.kill('SIGKILL'));
    const browser = await openBrowser();
    t.teardown(() => browser.close());
    const page = await browser.context.newPage();
    await page.goto(url);
    await page.locator('#book', { hasText: /^\d+ \/ \d+$/ }).waitFor();
    await page.locator('#buy').click();
    await page.locator('#log', { hasText: 'order 1 accepted' }).waitFor();
    await page.locator('#sell').click();
    await page.locator('#log', { hasText: 'order 2 accepted' }).waitFor();
    const log = (await page.locator('#log').textContent()) ?? '';
    t.match(log, 'relay: connected');
    t.match(log, 'exchange: session-up');
    example.kill('SIGTERM');
    t.strictSame(await gone, [0, null], 'it ends when it is told to');
  },
);

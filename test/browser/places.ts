/** The places where a browser runs code, each with the client of the tests in it. */
import { type Browser, openBrowser, type Site, serve } from './chromium.js';
import { bundle, type InstalledPackage, installPackage } from './package.js';

/** A hidden page has timers that fire once a second, as browsers do it; those of a sleeping page never fire. */
export type Place = 'page' | 'worker' | 'shared worker' | 'hidden page' | 'sleeping page';

/** What the timers of a page are replaced with before its scripts run. */
const TIMERS: Partial<Record<Place, string>> = {
  'hidden page': `{
    const real = globalThis.setTimeout;
    globalThis.setTimeout = (fn, delayMs = 0) => {
      const dueMs = Math.ceil((performance.now() + delayMs) / 1_000) * 1_000;
      return real(fn, dueMs - performance.now());
    };
  }`,
  'sleeping page': 'globalThis.setTimeout = () => 0;',
};

export interface Places {
  /** Runs a scenario of `client/main.ts` there and returns what it reports. */
  run<Report>(place: Place, name: string, config: unknown): Promise<Report>;
  /** Stops the newest page, as a browser that saves power does: nothing runs in it until the returned function is called. */
  freeze(): Promise<() => Promise<void>>;
  /** What was written to consoles or thrown for nobody, in any place. */
  readonly complaints: readonly string[];
  close(): Promise<void>;
}

interface Client {
  readonly hopfairTest: Readonly<Record<string, (config: unknown) => Promise<unknown>>>;
}

/** Opens the browser and a page with nothing but the client. */
export async function openPlaces(): Promise<Places> {
  const installed: InstalledPackage = installPackage();
  const client = await bundle(installed, 'test/browser/client', 'main.ts');
  const page = '<!doctype html><title>hopfair</title><script type="module" src="/client.js"></script>';
  const site: Site = await serve({ '/': page, '/empty': '<!doctype html>', '/client.js': client });
  const browser: Browser = await openBrowser();
  const complaints: string[] = [];
  browser.context.on('console', message => complaints.push(message.text()));
  browser.context.on('weberror', thrown => complaints.push(String(thrown.error())));

  const inPage = async (name: string, config: unknown, prepare = ''): Promise<unknown> => {
    const page = await browser.context.newPage();
    await page.addInitScript(prepare);
    await page.goto(site.url, { waitUntil: 'load' });
    const report = await page.evaluate(
      ([name, config]) => (globalThis as unknown as Client).hopfairTest[name]?.(config),
      [name, config] as const,
    );
    await page.close();
    return report;
  };

  /** The page has no client: it starts the worker, hands over the configuration, and waits for the report. */
  const inWorker = async (start: string, port: string, name: string, config: unknown): Promise<unknown> => {
    const page = await browser.context.newPage();
    await page.goto(`${site.url}empty`);
    const answer = await page.evaluate(`new Promise((resolve, reject) => {
      const worker = ${start};
      worker.onerror = ({ message }) => reject(new Error('the worker failed: ' + message));
      ${port}.onmessage = ({ data }) => resolve(data);
      ${port}.postMessage(${JSON.stringify({ name, config })});
    })`);
    await page.close();
    const { report, error } = answer as { readonly report?: unknown; readonly error?: string };
    if (error !== undefined) throw new Error(error);
    return report;
  };

  const run = (place: Place, name: string, config: unknown): Promise<unknown> => {
    if (place === 'worker') {
      return inWorker(`new Worker('/client.js', { type: 'module' })`, 'worker', name, config);
    }
    if (place === 'shared worker') {
      return inWorker(`new SharedWorker('/client.js', { type: 'module' })`, 'worker.port', name, config);
    }
    return inPage(name, config, TIMERS[place]);
  };

  return {
    run: async <Report>(place: Place, name: string, config: unknown) => (await run(place, name, config)) as Report,
    freeze: async () => {
      const page = browser.context.pages().at(-1);
      if (page === undefined) throw new Error('no page');
      const session = await browser.context.newCDPSession(page);
      await session.send('Debugger.enable');
      await session.send('Debugger.pause');
      return async () => {
        await session.send('Debugger.disable'); // which goes on too
      };
    },
    complaints,
    close: async () => {
      await browser.close();
      site.close();
      installed.remove();
    },
  };
}

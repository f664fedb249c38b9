// `npm start`: installs what is missing, builds, and runs the main job with the options given (examples/live-mesh).
import { spawn } from 'node:child_process';
import { build, installWhatIsMissing, root } from './install.mjs';

installWhatIsMissing();
build();
const main = `${root}dist/examples/live-mesh/main.js`;
const job = spawn(process.execPath, ['--enable-source-maps', main, ...process.argv.slice(2)], { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => job.kill(signal));
job.on('exit', code => process.exit(code ?? 1));

/**
 * `npm run example:terminal`: a program in a terminal that signs a person in through Gatehouse, as a vendor's developers would
 * write it. Owns the words and the exit code; everything else is in its neighbours.
 */
import { constants } from 'node:os';
import { parseArgs } from 'node:util';
import { explainFailure, signInOnDevice, type ShownCode, type SignedIn } from './device-sign-in.ts';
import { openPage } from './open-page.ts';
import { startWaitingLine, type WaitingLine } from './waiting-line.ts';

const USAGE = `Usage: npm run example:terminal -- [options]

Signs you in from the terminal: shows a link and a code, waits until you have answered in the browser, and says who you are.
The application must be registered: gatehouse app add terminal --public --redirect-uri http://127.0.0.1/callback

  --issuer <url>      OpenID Provider (default: http://localhost:3000/oidc)
  --client-id <id>    the application's client id (default: terminal)
  --no-browser        do not open the link, only print it
  --json              print the outcome as JSON; everything else goes to standard error
  --help              print this
`;

interface Options {
  readonly issuer: URL;
  readonly clientId: string;
  readonly opensBrowser: boolean;
  readonly isJson: boolean;
}

/** @returns undefined where help is wanted; @throws for what is wrong usage */
function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      issuer: { type: 'string', default: 'http://localhost:3000/oidc' },
      'client-id': { type: 'string', default: 'terminal' },
      'no-browser': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  if (!URL.canParse(values.issuer)) throw new Error(`${values.issuer} is no URL`);
  return {
    issuer: new URL(values.issuer),
    clientId: values['client-id'],
    opensBrowser: !values['no-browser'],
    isJson: values.json,
  };
}

/** Aborts at Ctrl-C and its like. */
function listenForSignals(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(name, () => {
      controller.abort(name);
    });
  }
  return controller.signal;
}

function show(out: NodeJS.WriteStream, { page, link, userCode }: ShownCode): void {
  out.write(`To sign in, open this page:\n\n  ${link.href}\n\n`);
  out.write(`It must show this code: ${userCode}\n`);
  out.write(`On another device open ${page} and type it.\n\n`);
}

function report({ isJson }: Options, { name, email, organization }: SignedIn): void {
  const who = { name: name ?? null, email: email ?? null, organization: organization ?? null };
  if (isJson) process.stdout.write(`${JSON.stringify(who)}\n`);
  else {
    const person = [name, email].filter((text) => text !== undefined).join(', ');
    process.stdout.write(`Signed in: ${person}, from ${organization ?? 'no organization'}.\n`);
  }
}

/** @returns the exit code */
async function run(options: Options, signal: AbortSignal): Promise<number> {
  const out = options.isJson ? process.stderr : process.stdout;
  let waiting: WaitingLine | undefined;
  try {
    const person = await signInOnDevice({
      ...options,
      signal,
      onCode: (code) => {
        show(out, code);
        if (options.opensBrowser) openPage(code.link);
        waiting = startWaitingLine(out, code.expiresInSeconds);
      },
    });
    waiting?.stop();
    report(options, person);
    return 0;
  } catch (error) {
    waiting?.stop();
    if (signal.aborted) {
      process.stderr.write('Stopped.\n');
      return 128 + constants.signals[signal.reason as NodeJS.Signals];
    }
    const failure = explainFailure(error);
    if (options.isJson) process.stdout.write(`${JSON.stringify(failure)}\n`);
    process.stderr.write(`${failure.message}\nTo start again, run it again.\n`);
    return 1;
  }
}

async function main(): Promise<number> {
  const stop = listenForSignals();
  let options: Options | undefined;
  try {
    options = readOptions();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    return 2;
  }
  if (options === undefined) {
    process.stdout.write(USAGE);
    return 0;
  }
  return run(options, stop);
}

// The library's last wait may still be running.
process.exit(await main());

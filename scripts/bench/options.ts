/** What `npm run bench` is told. */
import { parseArgs } from 'node:util';

const PARTS = [
  ...['route', 'callback', 'sign-in', 'check', 'refresh', 'refresh-rs256', 'userinfo'],
  ...['hang', 'scale', 'capacity', 'start'],
];

export const HELP = `Usage: npm run bench -- [options]

Measures Gatehouse beside floors (the least that such work can cost) and peers, in turn, in the same run.

  --quick             everything once, for a moment: whether it runs and does the work
  --only <part>       ${PARTS.join(', ')};
                      may be given several times
  --contender <name>  only these; may be given several times
  --no-peers          Gatehouse and the floors alone
  --rounds <n>        5
  --seconds <n>       of each round: 4
  --organizations <n> 1000
  --profile <folder>  instead: where the time of each workload goes, and profiles in that folder
  --strict            exit 1 where a target is not met
  --help

DATABASE_URL          a server to use, on which databases may be made; else Debian's programs, or the embedded ones
`;

export interface Options {
  readonly isQuick: boolean;
  readonly only: readonly string[];
  readonly contenders: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly connections: number;
  readonly organizations: number;
  readonly profileFolder: string | undefined;
  readonly isStrict: boolean;
  readonly hasPeers: boolean;
}

/**
 * @param contenders names of all that can be measured
 * @returns `help`, or what is wrong, where there is nothing to run
 */
export function readOptions(
  args: readonly string[],
  contenders: readonly string[],
): Options | 'help' | (string & {}) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string', multiple: true, default: [] },
        contender: { type: 'string', multiple: true, default: [] },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        organizations: { type: 'string' },
        'no-peers': { type: 'boolean', default: false },
        profile: { type: 'string' },
        strict: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return 'help';
    requireKnown('--only', values.only, PARTS);
    requireKnown('--contender', values.contender, contenders);
    const isQuick = values.quick;
    return {
      isQuick,
      only: values.only,
      contenders: values.contender,
      rounds: numberOf('--rounds', values.rounds, isQuick ? 1 : 5),
      seconds: numberOf('--seconds', values.seconds, isQuick ? 0.3 : 4),
      warmUpSeconds: isQuick ? 0.1 : 1,
      connections: 16,
      organizations: numberOf('--organizations', values.organizations, isQuick ? 20 : 1_000),
      profileFolder: values.profile,
      isStrict: values.strict,
      hasPeers: !values['no-peers'],
    };
  } catch (error) {
    return (error as Error).message;
  }
}

function requireKnown(name: string, given: readonly string[], known: readonly string[]): void {
  const unknown = given.find((one) => !known.includes(one));
  if (unknown !== undefined)
    throw new Error(`${name} ${unknown}: there is none; there are ${known.join('; ')}`);
}

function numberOf(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const number = Number(text);
  if (!(number > 0)) throw new Error(`${name} must be a number above 0`);
  return number;
}

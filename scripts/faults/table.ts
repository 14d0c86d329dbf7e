/** The results, as a table for people and as a document for programs. */
import type { Ledger } from './ledger.ts';
import type { Scenario } from './scenario.ts';

export interface Result {
  readonly scenario: Scenario;
  readonly ledger: Ledger;
  /** How the fault was seen to be there. */
  readonly evidence: string;
  /** Why the scenario did not happen as it has to; undefined: it did. */
  readonly failure: string | undefined;
  readonly seconds: number;
}

interface Facts {
  readonly postgres: string;
  readonly results: readonly Result[];
  readonly total: Ledger;
}

const ZEROS = ['lost', 'wrongPerson', 'unclear', 'duplicated', 'rollingErrors'] as const;
const HEADINGS = [
  'tried',
  'finished',
  'refused',
  'cut off',
  'lost',
  'wrong',
  'unclear',
  'twice',
  '5xx',
  'slowest',
];
const COLUMN = 9;

export function isClean({ results, total }: Facts): boolean {
  return (
    results.every(({ failure }) => failure === undefined) && ZEROS.every((zero) => total[zero].length === 0)
  );
}

function cells(ledger: Ledger): readonly (string | number)[] {
  const { tried, finished, refusals, cut, lost, wrongPerson, unclear, duplicated, rollingErrors } = ledger;
  const zeros = [lost, wrongPerson, unclear, duplicated, rollingErrors].map(({ length }) => length);
  return [tried, finished, refusals, cut, ...zeros, `${(ledger.slowestMs / 1000).toFixed(1)} s`];
}

export function tableOf(facts: Facts): string {
  const { results, total, postgres } = facts;
  const width = Math.max(...results.map(({ scenario }) => scenario.name.length)) + 2;
  const row = (name: string, values: readonly (string | number)[]) =>
    `${name.padEnd(width)}${values.map((value) => String(value).padStart(COLUMN)).join('')}`;
  const lines = [postgres, '', row('', HEADINGS)];
  for (const { scenario, ledger, evidence, failure, seconds } of results) {
    lines.push(row(scenario.name, cells(ledger)));
    const said = failure === undefined ? evidence : `FAILED: ${failure}`;
    lines.push(`  ${scenario.cases.join(' ')} (${seconds.toFixed(1)} s): ${said}`);
  }
  lines.push('', row('all', cells(total)), '');
  const sum = (name: string, value: number, wanted?: number) =>
    lines.push(
      `${name.padEnd(44)}${String(value).padStart(7)}${wanted === undefined ? '' : `  (must be ${wanted})`}`,
    );
  const refused = [...total.refused].map(([code, count]) => `${count} ${code}`).join(', ');
  sum('sign-ins tried', total.tried);
  sum('finished', total.finished);
  sum('refused with a clear answer', total.refusals);
  if (refused !== '') lines.push(`  ${refused}`);
  sum('cut off with their node', total.cut);
  sum('lost', total.lost.length, 0);
  sum('wrong person', total.wrongPerson.length, 0);
  sum('answers that say nothing', total.unclear.length, 0);
  sum('users, identities or sessions duplicated', total.duplicated.length, 0);
  sum('5xx on the rolling restart', total.rollingErrors.length, 0);
  sum(
    'scenarios that did not go as they have to',
    results.filter(({ failure }) => failure !== undefined).length,
    0,
  );
  for (const zero of ZEROS) for (const sentence of total[zero]) lines.push(`  ${sentence}`);
  return `${lines.join('\n')}\n`;
}

export function reportOf(facts: Facts): object {
  const counts = (ledger: Ledger) => ({
    tried: ledger.tried,
    finished: ledger.finished,
    refused: Object.fromEntries(ledger.refused),
    cut_off: ledger.cut,
    lost: ledger.lost,
    wrong_person: ledger.wrongPerson,
    unclear: ledger.unclear,
    duplicated: ledger.duplicated,
    server_errors_on_rolling_restart: ledger.rollingErrors,
    slowest_ms: Math.round(ledger.slowestMs),
  });
  return {
    ok: isClean(facts),
    postgres: facts.postgres,
    scenarios: facts.results.map(({ scenario, ledger, evidence, failure, seconds }) => ({
      name: scenario.name,
      cases: scenario.cases,
      happened: failure === undefined,
      evidence,
      ...(failure === undefined ? {} : { failure }),
      seconds: Math.round(seconds * 10) / 10,
      ...counts(ledger),
    })),
    total: counts(facts.total),
  };
}

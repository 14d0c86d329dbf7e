/** All scenarios, in the order in which they are played. */
import type { Scenario } from '../scenario.ts';
import { clockScenarios } from './clocks.ts';
import { commitScenarios } from './commit.ts';
import { databaseScenarios } from './database.ts';
import { diskScenarios } from './disks.ts';
import { providerScenarios } from './providers.ts';
import { replayScenarios } from './replay.ts';
import { rollingScenarios } from './rolling.ts';
import { schemaScenarios } from './schema.ts';
import { workerScenarios } from './workers.ts';

export const scenarios: readonly Scenario[] = [
  ...databaseScenarios,
  ...commitScenarios,
  ...providerScenarios,
  ...clockScenarios,
  ...replayScenarios,
  ...diskScenarios,
  ...schemaScenarios,
  ...rollingScenarios,
  ...workerScenarios,
];

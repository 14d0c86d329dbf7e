/** All scenarios, in the order in which they are played. */
import type { Scenario } from '../scenario.ts';
import { commitScenarios } from './commit.ts';
import { databaseScenarios } from './database.ts';

export const scenarios: readonly Scenario[] = [...databaseScenarios, ...commitScenarios];

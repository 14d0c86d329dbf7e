// The order of the suites: the long ones first, or the run ends with one worker that is still busy with one of them. Jest
// remembers how long each took, but a fresh machine knows nothing and goes by the size of the files.
import { relative } from 'node:path';
import Sequencer from '@jest/test-sequencer';

/** They start programs and databases, or wait for what takes its time. */
const LONG =
  /^(browser|database.embedded|demo.(once|terminal)|workers.(life|start)|cli.(processes|embedded)|faults|sessions.follow|outbound.deadline|http.(process|rate))/;
const TESTS = new URL('..', import.meta.url).pathname;

export default class LongestFirst extends Sequencer {
  sort(tests) {
    const isShort = ({ path }) => Number(!LONG.test(relative(TESTS, path)));
    return super.sort(tests).sort((one, other) => isShort(one) - isShort(other));
  }
}

/** Loaded into a node before the program (`--import`): at SIGUSR2 it gives back all memory that it does not need. */
import { Session } from 'node:inspector/promises';

const session = new Session();

process.on('SIGUSR2', () => {
  session.connect();
  void session.post('HeapProfiler.collectGarbage').finally(() => {
    session.disconnect();
  });
});

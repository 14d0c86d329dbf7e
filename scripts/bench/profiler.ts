/**
 * Loaded into a node before the program (`--import`): the first SIGUSR2 begins a CPU and an allocation profile, the second one writes
 * them to PROFILE_FOLDER.
 */
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { join } from 'node:path';

const INTERVAL_MICROS = 200;
const session = new Session();
let isRunning = false;

async function begin(): Promise<void> {
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: INTERVAL_MICROS });
  await session.post('HeapProfiler.startSampling', { samplingInterval: 16_384 });
  await session.post('Profiler.start');
}

async function end(): Promise<void> {
  const folder = process.env['PROFILE_FOLDER'] ?? '.';
  const { profile } = await session.post('Profiler.stop');
  const { profile: heap } = await session.post('HeapProfiler.stopSampling');
  session.disconnect();
  writeFileSync(join(folder, 'cpu.cpuprofile'), JSON.stringify(profile));
  writeFileSync(join(folder, 'heap.heapprofile'), JSON.stringify(heap));
}

process.on('SIGUSR2', () => {
  void (isRunning ? end() : begin());
  isRunning = !isRunning;
});

/** One line that says that the program waits, and for how long still: it moves where somebody looks, and is written once elsewhere. */
const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'] as const;
const FRAME_MS = 100;
const CLEAR_LINE = '\r\u001b[K';

export interface WaitingLine {
  /** Takes the line away. */
  stop(): void;
}

export function startWaitingLine(stream: NodeJS.WriteStream, seconds: number): WaitingLine {
  if (!stream.isTTY) {
    stream.write(`Waiting for your answer there, ${timeOf(seconds)} minutes at most ...\n`);
    return { stop: () => undefined };
  }
  const startedAtMs = performance.now();
  const draw = (): void => {
    const elapsedMs = performance.now() - startedAtMs;
    const frame = FRAMES[Math.floor(elapsedMs / FRAME_MS) % FRAMES.length] ?? '';
    const left = Math.max(0, Math.ceil(seconds - elapsedMs / 1000));
    stream.write(`${CLEAR_LINE}${frame} Waiting for your answer there, ${timeOf(left)} left`);
  };
  draw();
  const timer = setInterval(draw, FRAME_MS);
  return {
    stop() {
      clearInterval(timer);
      stream.write(CLEAR_LINE);
    },
  };
}

const timeOf = (seconds: number) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;

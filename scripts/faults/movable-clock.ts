/**
 * Loaded into a node before the program (`--import`): the harness may move the clock on the wall, while the node runs. The
 * monotonic clock stays, as it does where an operator or a time server sets the time.
 */
const RealDate = Date;
let shiftMs = 0;
const now = () => RealDate.now() + shiftMs;

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args: unknown[], newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as Date,
  apply: () => new RealDate(now()).toString(),
  get: (target, name, receiver) => (name === 'now' ? now : (Reflect.get(target, name, receiver) as unknown)),
});

process.on('message', (message: { readonly shiftMs?: number }) => {
  if (message.shiftMs === undefined) return;
  ({ shiftMs } = message as { shiftMs: number });
  process.send?.({ shiftMs });
});
// Listening to the harness is no reason to live on.
process.channel?.unref();

/**
 * Passport's part, and the only file that knows it: each request gets a strategy of its own that runs one step of the
 * sign-in. Passport writes the request's callbacks onto the strategy that it is given, so one that two requests shared
 * would hand one person's sign-in to the other. What it writes onto a request (`login`, `logout` and the like) nobody here uses, and so many
 * members make everything that is read of the request afterwards slower: it gets a request that is nobody's.
 */
import passport from 'passport';
import { Strategy } from 'passport-strategy';

class StepStrategy extends Strategy {
  readonly #step: () => Promise<object>;

  constructor(step: () => Promise<object>) {
    super();
    this.#step = step;
  }

  override authenticate(): void {
    this.#step().then(
      (outcome) => {
        this.success(outcome);
      },
      (error: unknown) => {
        this.error(error as Error);
      },
    );
  }
}

/** Runs one step of a sign-in, starting it or completing it, as this request's strategy. */
export function runStrategy<Outcome extends object>(step: () => Promise<Outcome>): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const finish = (error: unknown, outcome: unknown) => {
      if (error instanceof Error) reject(error);
      else resolve(outcome as Outcome);
    };
    // Passport's types say any.
    const authenticate = passport.authenticate(
      new StepStrategy(step),
      { session: false },
      finish,
    ) as Authenticate;
    authenticate({}, {}, (error) => {
      reject(error instanceof Error ? error : new Error('passport passed the request on'));
    });
  });
}

/** Before it calls back, it only writes onto the request. */
type Authenticate = (request: object, response: object, next: (error: unknown) => void) => void;

/**
 * Questions of one kind that come while others are under way go to the database together, in one statement, for a statement costs both
 * sides far more than one more question in it. Who asks while nothing is under way does not wait, and nobody waits long for a statement
 * that takes its time: the next one goes beside it.
 *
 * Of many only half go: all together would come back together too, and so this process and the database would stand still in turn, each
 * until the other is through with all of them.
 */

/** Beyond this a statement is slow. */
const PATIENCE_MS = 20;
const MOST_UNDER_WAY = 4;
/** Up to here half a statement is not worth one more. */
const FEW = 4;
const MOST_AT_ONCE = 100;

interface Waiting<Question, Answer> {
  readonly question: Question;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * @param send answers questions, in their order; what it throws is the answer to all of them
 * @returns what asks one
 */
export function together<Question, Answer>(
  send: (questions: readonly Question[]) => Promise<readonly Answer[]>,
): (question: Question) => Promise<Answer> {
  const waiting: Waiting<Question, Answer>[] = [];
  let underWay = 0;
  let slow = 0;
  /** How many went last: they are back, and most of them are soon followed by as many. */
  let latest = 0;
  const answer = async (asked: readonly Waiting<Question, Answer>[]) => {
    const own = { isSlow: false };
    const timer = setTimeout(() => {
      own.isSlow = true;
      slow++;
      askNext();
    }, PATIENCE_MS);
    underWay++;
    try {
      const answers = await send(asked.map(({ question }) => question));
      asked.forEach(({ resolve }, index) => {
        resolve(answers[index] as Answer);
      });
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
    clearTimeout(timer);
    if (own.isSlow) slow--;
    underWay--;
    askNext();
  };
  const askNext = () => {
    while (underWay === slow && underWay < MOST_UNDER_WAY && waiting.length > 0) {
      const half = Math.ceil((waiting.length + latest) / 2);
      const asked = waiting.splice(0, Math.min(Math.max(half, FEW), MOST_AT_ONCE));
      latest = asked.length;
      void answer(asked);
    }
  };
  return (question) =>
    new Promise((resolve, reject) => {
      waiting.push({ question, resolve, reject });
      askNext();
    });
}

/** How far a provider's clock is from ours, by the Date of its answers: a token that seems too old or too new may not be. */
import { GatewayError } from '../../errors.ts';
import { CLOCK_TOLERANCE_SECONDS } from '../jwt-rules.ts';

export interface ProviderClock {
  /** Notes the time that an answer was made at. */
  note(response: Response): void;
  /** Seconds that the provider is ahead of us; negative: behind; undefined while nothing is known. */
  skewSeconds(): number | undefined;
}

export function providerClock(now: () => number): ProviderClock {
  let skew: number | undefined;
  return {
    note(response) {
      const at = Date.parse(response.headers.get('date') ?? '');
      if (!Number.isNaN(at)) skew = Math.round((at - now()) / 1000);
    },
    skewSeconds: () => skew,
  };
}

/** The failure of a sign-in, with the difference of the clocks where it may be the cause. */
export function withSkew(failure: GatewayError, clock: ProviderClock): GatewayError {
  const skew = clock.skewSeconds() ?? 0;
  const { code, context, cause } = failure;
  if (code !== 'token_invalid' || Math.abs(skew) <= CLOCK_TOLERANCE_SECONDS) return failure;
  const difference = `the provider's clock is ${Math.abs(skew)} s ${skew > 0 ? 'ahead of' : 'behind'} ours`;
  return new GatewayError(code, { ...context, reason: `${context.reason ?? code}; ${difference}` }, cause);
}

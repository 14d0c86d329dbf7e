/** A request and the answer that is made to it, which go together wherever something is read of the one and written to the other. */
import type { Request, Response } from 'express';

export interface Exchange {
  readonly request: Request;
  readonly response: Response;
}

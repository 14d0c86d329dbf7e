import { describeProtected } from './protected.ts';

describeProtected('caddy');

import { describeProtected } from './protected.ts';

describeProtected('nginx');

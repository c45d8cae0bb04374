import { createViewService } from './create.ts';

export default createViewService();

import type { ServiceSchema } from 'moleculer';
import { ConfigError } from '../config/load.ts';

/** Every service of the board by the name that `HOTBOARD_SERVICES` uses. */
const modules: Record<string, () => Promise<{ default: ServiceSchema }>> = {
  api: () => import('../services/api/api.service.ts'),
  article: () => import('../services/article/article.service.ts'),
  comment: () => import('../services/comment/comment.service.ts'),
  like: () => import('../services/like/like.service.ts'),
  view: () => import('../services/view/view.service.ts'),
  'hot-list': () => import('../services/hot-list/hot-list.service.ts'),
  outbox: () => import('../services/outbox/outbox.service.ts'),
  relay: () => import('../services/relay/relay.service.ts'),
  'hot-article': () => import('../services/hot-article/hot-article.service.ts'),
};

/** The schemas of these services. Throws `ConfigError` for a name that is none, before anything is loaded. */
export async function serviceSchemas(names: readonly string[]): Promise<ServiceSchema[]> {
  for (const name of names) {
    if (!(name in modules)) {
      throw new ConfigError(`HOTBOARD_SERVICES has "${name}"; allowed: ${Object.keys(modules).join(', ')}.`);
    }
  }
  return Promise.all([...new Set(names)].map(async (name) => (await modules[name]!()).default));
}

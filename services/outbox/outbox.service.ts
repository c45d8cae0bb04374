import { databaseUrl } from '../../config/database-url.ts';
import { loadConfig } from '../../config/load.ts';
import { boardEvents, boardSources } from '../../events/board.ts';
import { OutboxOperatorService } from '../../relay/operator/operator-service.ts';

/** What operators can do about the board's events that fail. */
export default OutboxOperatorService({
  operator() {
    const config = loadConfig(process.env);
    return { sources: boardSources.map((name) => ({ name, url: databaseUrl(config, name) })), catalogue: boardEvents };
  },
});

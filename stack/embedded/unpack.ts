import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import yauzl from 'yauzl';

/** Where an entry goes, relative to the target folder. */
export interface Picked {
  path: string;
  executable: boolean;
}

/** Takes the entries that `pick` names out of a jar. Other entries are left. (Maven has verified the jar as a whole.) */
export async function unpackJar(jar: string, target: string, pick: (entry: string) => Picked | null): Promise<void> {
  const zip = await yauzl.openPromise(jar, { lazyEntries: true });
  try {
    for await (const entry of zip.eachEntry()) {
      const picked = entry.fileName.endsWith('/') ? null : pick(entry.fileName);
      if (picked === null) continue;
      const file = join(target, picked.path);
      await mkdir(dirname(file), { recursive: true });
      const source = await zip.openReadStreamPromise(entry);
      await pipeline(source, createWriteStream(file, { mode: picked.executable ? 0o755 : 0o644 }));
    }
  } finally {
    zip.close();
  }
}

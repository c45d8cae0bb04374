import { describe, expect, it } from '@jest/globals';
import { DownloadProgress } from './maven.ts';

describe("what Maven's output says of a download", () => {
  it('adds up what is finished and what is on the way', () => {
    const progress = new DownloadProgress();
    progress.read('Downloaded from central: https://host/a/b/a-1.jar (1.5 MB at 3 MB/s)\n');
    progress.read('Downloaded from central: https://host/a/b/b-1.pom (500 kB at 3 MB/s)\r');
    progress.read('Progress (2): 37/149 MB | 500/900 kB\r');
    expect(progress.describe()).toBe('40 MB so far (now 37/149 MB, 500/900 kB)');
  });

  it('does not count a file twice, and reads a line that comes in pieces', () => {
    const progress = new DownloadProgress();
    progress.read('Progress (1): 12/12 MB\rProgress (1): 12 MB      \rDownloaded from cen');
    progress.read('tral: https://host/redis.jar (12 MB at 28 MB/s)\n');
    expect(progress.describe()).toBe('12 MB so far');
  });

  it('reads the form with the names of the files, and colours', () => {
    const progress = new DownloadProgress();
    progress.read('[\u001b[1;34mINFO\u001b[m] x\nProgress (1): mariadb.jar (2.5/149 MB)\r');
    expect(progress.describe()).toBe('2.5 MB so far (now mariadb.jar (2.5/149 MB))');
  });

  it('keeps the first errors', () => {
    const progress = new DownloadProgress();
    progress.read('[\u001b[1;31mERROR\u001b[m] Could not resolve dependencies\n[ERROR] Re-run Maven\n');
    expect(progress.errors()).toBe('Could not resolve dependencies Re-run Maven');
  });
});

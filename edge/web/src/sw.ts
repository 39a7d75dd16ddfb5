// Keeps the site for use without a network. `python -m export web` writes the list of its files, with
// their hashes, into this script: another site is another script, and browsers notice.

export {}; // a module, so that its names are its own

interface Site {
  version: string;
  files: Record<string, string>; // path -> "sha256-..."
  first: string[]; // what is kept at once; the rest when it is first asked for
}

declare const self: ServiceWorkerGlobalScope;
const site: Site = Object("__SITE__");
const scope = self.registration.scope;
const name = `${scope}${site.version}`;

// A module that uses relaxed SIMD: whether it is valid says which runtime this browser takes.
const RELAXED = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11];

self.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const other = WebAssembly.validate(new Uint8Array(RELAXED)) ? "_compat_" : "litert_wasm_internal";
      const cache = await caches.open(name);
      await Promise.all(site.first.filter((path) => !path.includes(other)).map((path) => keep(cache, path)));
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      // Sites of one host share its caches: only those of this site may go.
      const old = (await caches.keys()).filter((key) => key.startsWith(scope) && key !== name);
      await Promise.all(old.filter((key) => !key.slice(scope.length).includes("/")).map((key) => caches.delete(key)));
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("message", (event) => {
  if (event.data === "take over") void self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(scope)) return;
  const path = new URL(request.url).pathname.slice(new URL(scope).pathname.length) || "index.html";
  if (path in site.files) event.respondWith(answer(path));
});

async function answer(path: string): Promise<Response> {
  const cache = await caches.open(name);
  return (await cache.match(new URL(path, scope))) ?? keep(cache, path);
}

/** Loads a file, checked against its hash, and keeps it. */
async function keep(cache: Cache, path: string): Promise<Response> {
  const address = new URL(path, scope);
  // Asks whether the browser's own copy still holds: a first visit has just loaded it.
  const response = await fetch(address, { cache: "no-cache", integrity: site.files[path] });
  if (!response.ok) return response;
  await cache.put(address, response.clone());
  return response;
}

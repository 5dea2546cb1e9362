# Read by the scripts next to it: runs $entry, a path inside the package, with Bun. $self is the script that was started.

root=${self%/*}/..

start() {
  bun=$1
  shift
  # The user's folder may come with a downloaded model: no bunfig.toml or .env of it is read, nothing is installed.
  exec "$bun" --config=/dev/null --no-env-file --no-install "$root/$entry" "$@"
}

if [ -n "${SINTER_BUN-}" ]; then start "$SINTER_BUN" "$@"; fi
if command -v bun >/dev/null 2>&1; then start bun "$@"; fi
# The Bun that scripts/setup.ts ran on; then Bun as a package: inside this one's own node_modules, or next to this one in
# someone else's.
for found in "$root"/build/bun "$root"/node_modules/@oven/bun-*/bin/bun "$root"/node_modules/.bin/bun \
  "$root"/../@oven/bun-*/bin/bun "$root"/../.bin/bun; do
  if [ -x "$found" ]; then start "$found" "$@"; fi
done
echo "${0##*/}: Bun is not installed. Get it with 'npm install -g bun', or try 'npx --yes bun@1.4.5 $root/$entry'." >&2
exit 127

# Read by the scripts next to it, in the package: runs the program with the name of $entry from the platform's package.
# $self is the script that was started.

root=${self%/*}/..
program=${entry##*/}
program=${program%.ts}
if [ "$program" = cli ]; then program=; fi

case $(uname -m) in
  x86_64 | amd64) cpu=x64 ;;
  aarch64 | arm64) cpu=arm64 ;;
  *) cpu=$(uname -m) ;;
esac
package=sinter-$(uname -s | tr '[:upper:]' '[:lower:]')-$cpu-gnu

# Where Node would find it: in node_modules of this package's folder, or of one above it.
folder=$(cd "$root" && pwd -P)
while [ -n "$folder" ]; do
  found=$folder/node_modules/$package/sinter
  if [ -x "$found" ]; then exec "$found" ${program:+"$program"} "$@"; fi
  folder=${folder%/*}
done
echo "${0##*/}: the package $package is not installed next to sinter. Install it, or build Sinter from a checkout." >&2
exit 127

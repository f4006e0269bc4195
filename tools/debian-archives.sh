# The machine's own Debian archives, with its settings for reaching them, for mmdebstrap. Sourced.

# debian_archives DIR: writes DIR/apt.conf and sets `lists` to the lists of sources in DIR.
debian_archives() {
    local file
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] && awk -v RS= -v ORS='\n\n' '/URIs:[^\n]*\/debian(-security)?(\/|[ \n]|$)/' "$file"
    done >"$1/archives.sources"
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | grep -E '^deb .*/debian(-security)?(/| )' >"$1/archives.list" || true
    lists=()
    for file in "$1"/archives.*; do [ -s "$file" ] && lists+=("$file"); done
    [ ${#lists[@]} -gt 0 ] || { echo "/etc/apt names no Debian archive" >&2; return 1; }
    apt-config dump | grep -E '^Acquire::(http|https|ftp|Check|Retries)' >"$1/apt.conf" || true
}

# In a user namespace with all of the user's ids, where files of Debian's users can be made and removed.
in_namespace() { unshare --user --map-root-user --map-auto --mount "$@"; }

# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by tests/run, bench/run and .ci/run: installs the Debian packages that a machine lacks.
#
#   need PACKAGE PROBE WHY   notes PACKAGE unless PROBE is there: a command, include:<header>, file:<path>;
#                            header and path may be patterns
#   node_packages FOLDER     installs what the lockfile in tests/node/FOLDER names, once
#   whiteboard_page          builds the page of examples/whiteboard
#   install_needed           installs what was noted, and says what and why; returns 2 where it cannot
#   want_ccache              installs it, if that is possible
#
# large_pages stands before a compiler: with large pages of memory, where glibc has them, Clang takes 8 % less time.

needed_packages=()
needed_reasons=()
# shellcheck disable=SC2034  # used where this is sourced
large_pages=(env GLIBC_TUNABLES=glibc.malloc.hugetlb=1)

has_header() {
    local folder
    for folder in /usr/include /usr/local/include /usr/include/*-linux-gnu; do
        compgen -G "$folder/$1" >/dev/null && return 0
    done
    return 1
}

need() {
    local package=$1 probe=$2 why=$3
    case $probe in
        include:*) has_header "${probe#include:}" && return ;;
        file:*) compgen -G "${probe#file:}" >/dev/null && return ;;
        *) command -v "$probe" >/dev/null && return ;;
    esac
    needed_packages+=("$package")
    needed_reasons+=("$why")
}

install_needed() {
    local count=${#needed_packages[@]} i
    [[ $count -gt 0 ]] || return 0
    echo "missing here:"
    for ((i = 0; i < count; i++)); do
        printf '  %-22s %s\n' "${needed_packages[i]}" "${needed_reasons[i]}"
    done
    local packages=("${needed_packages[@]}")
    needed_packages=() needed_reasons=()

    if ! command -v apt-get >/dev/null; then
        echo "this machine has no apt-get: install the above (the names are Debian's) and try again" >&2
        return 2
    fi
    local as_root=()
    if [[ $(id -u) -ne 0 ]]; then
        if ! command -v sudo >/dev/null; then
            echo "not root, and no sudo; as root run: apt-get install ${packages[*]}" >&2
            return 2
        fi
        as_root=(sudo)
        [[ -t 2 ]] || as_root+=(-n)
        echo "installing system packages with sudo"
    fi
    local log
    log=$(mktemp) || return 2
    # Another apt, such as the daily one, may hold a lock: for the packages apt waits itself, for their lists it does not.
    for ((i = 0; i < 60; i++)); do
        "${as_root[@]}" apt-get update </dev/null >"$log" 2>&1 && break
        grep -q 'Could not get lock' "$log" || break
        sleep 10
    done
    if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 \
        install -y --no-install-recommends "${packages[@]}" </dev/null >>"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        echo "could not install: ${packages[*]}" >&2
        return 2
    fi
    rm -f "$log"
    echo "installed: ${packages[*]}"
}

# Without it, tests/scripts/compile starts the compilers themselves.
want_ccache() {
    command -v ccache >/dev/null && return
    need ccache ccache "keeps what was compiled, also for other clones"
    install_needed || echo "everything is built without ccache" >&2
}

# What every build of belay needs.
need_build_tools() {
    need g++ g++ "the compiler"
    need cmake cmake "configures the build"
    need ninja-build ninja "runs the build"
}

# What the headers of the bindings include.
need_bound_libraries() {
    need libsqlite3-dev include:sqlite3.h "the database under belay/sqlite"
    need libhiredis-dev include:hiredis/hiredis.h "the client under belay/redis"
    need libpq-dev include:postgresql/libpq-fe.h "the client under belay/postgres"
    need libboost-dev include:boost/beast/websocket.hpp "asio and Beast under belay/asio and belay/beast"
    need libasio-dev include:asio.hpp "the asio without Boost under the same"
    need libssl-dev include:openssl/ssl.h "TLS of asio and Beast, signatures of tokens"
    need nlohmann-json3-dev include:nlohmann/json.hpp "the JSON under belay/json"
    need libfmt-dev include:fmt/format.h "the formatting library under belay/core/fmt_format.hpp, and of a recipe"
    need libcurl4-openssl-dev include:curl/curl.h "the HTTP client under belay/curl, and of a recipe"
}

# The preset libcxx.
need_libcxx() {
    need clang-16 clang++-16 "the compiler beside another standard library"
    need libc++-16-dev file:/usr/lib/llvm-16/include/c++/v1/version "that standard library"
    need libc++abi-16-dev "file:/usr/lib/llvm-16/lib/libc++abi.so*" "what it is built on"
}

# The preset mingw.
need_mingw() {
    need g++-mingw-w64-x86-64-posix x86_64-w64-mingw32-g++-posix "the compiler for Windows"
    need wine64 file:/usr/lib/wine/wine64 "runs what was built for Windows"
    need libasio-dev include:asio.hpp "the sockets of a program for Windows"
}

# What runs the real Yjs and other peers of the tests.
need_node() {
    need nodejs node "runs the real peers of the tests"
    need npm npm "installs them"
    need openssl openssl "makes the certificate of one"
}

# Without them the tests that need them are left out, and say so.
node_packages() {
    npm_packages "tests/node/$1" --omit=dev --omit=optional || echo "the tests that need $1 are left out" >&2
}

# npm_packages FOLDER [OPTION...]
npm_packages() {
    local folder=$1
    shift
    cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json" && return
    if ! (cd "$folder" && npm ci "$@" --no-audit --no-fund --loglevel=error </dev/null); then
        echo "npm could not install the packages of $folder/package-lock.json" >&2
        return 1
    fi
    cp "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json"
}

# The page of the whiteboard, from its sources and what these import.
whiteboard_page() {
    local folder=examples/whiteboard/web
    npm_packages "$folder" && (cd "$folder" && npm run --silent build >/dev/null)
}

# For tests/scripts/tidy.py, and its test.
need_clang_tidy() {
    need clang-tidy-16 clang-tidy-16 "checks the size of functions, and their parameters"
}

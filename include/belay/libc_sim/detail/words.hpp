// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/words.hpp
/// libc_words: the names of numbers that a world rejects, for its sentences.
#pragma once

#include <fcntl.h>         // F_SETPIPE_SZ
#include <netinet/in.h>    // IP_TOS
#include <netinet/tcp.h>   // TCP_INFO
#include <sys/ioctl.h>     // TIOCGWINSZ
#include <sys/resource.h>  // RLIMIT_AS
#include <sys/socket.h>    // SO_BROADCAST
#include <sys/syscall.h>   // SYS_getpid

#include <span>         // std::span
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail { namespace libc_words {

/// Numbers, and their names with ", " between them.
struct Words {
    std::span<const long> numbers;
    std::string_view names;
};
#define BELAY_DETAIL_WORDS(words, ...)                       \
    inline constexpr long words##_numbers[] = {__VA_ARGS__}; \
    inline constexpr Words words { words##_numbers, #__VA_ARGS__ }

BELAY_DETAIL_WORDS(socket_options, SO_BROADCAST, SO_OOBINLINE, SO_PRIORITY, SO_LINGER, SO_RCVLOWAT,
                   SO_SNDLOWAT, SO_BINDTODEVICE, SO_TIMESTAMP, SO_PASSCRED, SO_MARK, SO_PEERCRED,
                   SO_DONTROUTE, SO_RCVBUFFORCE, SO_SNDBUFFORCE, SO_ATTACH_FILTER, SO_BUSY_POLL,
                   SO_INCOMING_CPU, SO_ZEROCOPY);
BELAY_DETAIL_WORDS(tcp_options, TCP_MAXSEG, TCP_CORK, TCP_SYNCNT, TCP_LINGER2, TCP_DEFER_ACCEPT,
                   TCP_WINDOW_CLAMP, TCP_INFO, TCP_QUICKACK, TCP_CONGESTION, TCP_USER_TIMEOUT,
                   TCP_FASTOPEN, TCP_NOTSENT_LOWAT, TCP_FASTOPEN_CONNECT, TCP_ULP);
BELAY_DETAIL_WORDS(ip_options, IP_TOS, IP_TTL, IP_PKTINFO, IP_RECVERR, IP_MTU_DISCOVER, IP_FREEBIND,
                   IP_TRANSPARENT, IP_BIND_ADDRESS_NO_PORT);
BELAY_DETAIL_WORDS(message_flags, MSG_OOB, MSG_PEEK, MSG_DONTROUTE, MSG_TRUNC, MSG_EOR, MSG_WAITALL,
                   MSG_CONFIRM, MSG_ERRQUEUE, MSG_MORE, MSG_ZEROCOPY, MSG_FASTOPEN);
BELAY_DETAIL_WORDS(open_flags, O_TMPFILE, O_PATH, O_DIRECT, O_ASYNC, O_NOATIME);
BELAY_DETAIL_WORDS(commands, F_GETOWN, F_SETOWN, F_GETSIG, F_SETSIG, F_GETPIPE_SZ, F_SETPIPE_SZ,
                   F_GETLEASE, F_SETLEASE, F_NOTIFY, F_ADD_SEALS, F_GET_SEALS);
BELAY_DETAIL_WORDS(requests, FIONREAD, FIOCLEX, FIONCLEX, FIOASYNC, TIOCOUTQ, TIOCGWINSZ, TIOCNOTTY,
                   TIOCSCTTY, SIOCGIFCONF, SIOCGIFADDR, SIOCGIFHWADDR, SIOCGIFINDEX, SIOCATMARK);
BELAY_DETAIL_WORDS(limits, RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_RSS,
                   RLIMIT_NPROC, RLIMIT_MEMLOCK, RLIMIT_AS);
BELAY_DETAIL_WORDS(domains, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET);
BELAY_DETAIL_WORDS(kinds, SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET);
BELAY_DETAIL_WORDS(system_calls, SYS_read, SYS_write, SYS_close, SYS_getpid, SYS_tgkill, SYS_clone,
                   SYS_clone3, SYS_exit_group, SYS_openat2, SYS_memfd_create, SYS_pidfd_open,
                   SYS_userfaultfd, SYS_perf_event_open, SYS_io_uring_setup, SYS_close_range,
                   SYS_sched_getaffinity, SYS_membarrier, SYS_renameat2);
#undef BELAY_DETAIL_WORDS

/// Returns the names that `fits(number)` chooses, with " | " between them; `other` without one.
template <class F>
std::string names(Words words, F&& fits, const std::string& other) {
    std::string all;
    for (const long number : words.numbers) {
        const auto end = words.names.find(", ");
        if (fits(number)) all.append(all.empty() ? "" : " | ").append(words.names.substr(0, end));
        words.names.remove_prefix(end == words.names.npos ? 0 : end + 2);
    }
    return all.empty() ? other : all;
}
inline std::string of(Words words, long number, const std::string& kind) {
    return names(
        words, [=](long n) { return n == number; }, kind + ' ' + std::to_string(number));
}
inline std::string of_flags(Words words, long flags) {
    return names(
        words, [=](long n) { return (flags & n) == n; }, "flags " + std::to_string(flags));
}
inline std::string of_option(int level, int option) {
    const Words words = level == SOL_SOCKET    ? socket_options
                        : level == IPPROTO_TCP ? tcp_options
                        : level == IPPROTO_IP  ? ip_options
                                               : Words{};
    return of(words, option, "level " + std::to_string(level) + " and option");
}
inline std::string of_socket(int domain, int kind) {
    return of(domains, domain, "domain") + " and " + of(kinds, kind, "type");
}

}}}}  // namespace belay::detail::libc_words

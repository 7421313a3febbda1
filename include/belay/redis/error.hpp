// SPDX-License-Identifier: MIT
/// \file belay/redis/error.hpp
/// redis::Errc and redis::Error: the errors of queues in Redis, with advice.
#pragma once

#include <string_view>   // std::string_view
#include <system_error>  // std::error_code, std::is_error_code_enum

#include <belay/journal/advised_error.hpp>
#include <belay/openssl/tls_error.hpp>
#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace redis {

/// Errors of a queue in Redis; category "belay.redis".
///
/// Values are appended, never renumbered. After `connection_lost`, `no_answer`, `bad_reply` and
/// `reply_too_long`, it is unknown whether the command took effect. After any other error, and
/// after every error of the system (while connecting), it did not.
enum class Errc {
    connection_lost = 1,  ///< the connection ended before the answer was complete
    no_answer = 2,        ///< no answer within the time limit of a command
    bad_reply = 3,        ///< an answer that is not from Redis, or not to this command
    wrong_type = 4,       ///< the key has something other than a stream
    unauthorized = 5,     ///< user and password are missing, or were rejected
    forbidden = 6,        ///< the user may not do this
    not_ready = 7,        ///< it loads its data, runs a long script, or has too many clients
    out_of_memory = 8,    ///< above maxmemory
    read_only = 9,        ///< it is a replica
    cannot_persist = 10,  ///< it accepts nothing while it cannot save, or has too few replicas
    no_group = 11,        ///< the stream or its group is gone
    other_group = 12,     ///< another group reads the stream as well
    moved = 13,           ///< the key is on another node of a cluster
    too_old = 14,         ///< it lacks a command
    rejected = 15,        ///< any other rejection
    cluster = 16,         ///< it is a node of a cluster, whose redirections belay does not follow
    reply_too_long = 17   ///< the answer was longer than the limit; the connection is closed
};

}}}  // namespace belay::redis

namespace belay { inline namespace BELAY_ABI { namespace detail {

inline constexpr ErrorText redis_error_texts[] = {
    {"the connection to Redis was lost", Cause::lost,
     "call again, which connects again; a push may have been stored, and would then be stored "
     "twice"},
    {"Redis did not answer in time", Cause::timed_out,
     "check that Redis runs, or raise command_timeout if it is slow, and call again; a push may "
     "have been stored, and would then be stored twice"},
    {"Redis sent a malformed reply", Cause::protocol,
     "check that the server at this address is Redis"},
    {"the key does not hold a stream", Cause::permanent, "choose a key that only this queue uses"},
    {"Redis does not accept the user or the password", Cause::unauthorized,
     "set user and password to the values that the server expects"},
    {"Redis does not allow this command to the user", Cause::forbidden,
     "allow the user EVAL, XADD, XLEN, XGROUP, XINFO, XREADGROUP, XPENDING, XCLAIM, XAUTOCLAIM, "
     "XACK and XDEL on this key"},
    {"Redis is not ready", Cause::overloaded, "wait, and call again; nothing is lost"},
    {"Redis is out of memory", Cause::overloaded,
     "take operations from the queue, or raise maxmemory; nothing is lost if maxmemory-policy is "
     "noeviction"},
    {"this Redis server is a read-only replica", Cause::refused, "connect to the master"},
    {"Redis cannot write its data to disk or to its replicas, and rejects writes",
     Cause::overloaded, "check the disk of the server and its replicas; nothing is lost"},
    {"the stream or its group was deleted", Cause::permanent,
     "open again, which creates them again; find out why they were deleted, because the server may "
     "have lost its data"},
    {"another group already reads the stream", Cause::permanent,
     "use one group for each stream, because an acknowledgement removes the entry for all groups"},
    {"the stream is on another node of the cluster", Cause::permanent,
     "connect to the node that has the key; belay does not follow redirections of a cluster"},
    {"this Redis lacks a command", Cause::permanent,
     "use Redis 6.2 or later, and do not rename its commands"},
    {"Redis rejected the command", Cause::permanent, "read the reply of Redis in this message"},
    {"this Redis server is a node of a cluster, over which rooms cannot be spread",
     Cause::permanent,
     "use a server that is not part of a cluster, with replicas and Sentinel if it must not be the "
     "only one"},
    {"the reply of Redis is too long", Cause::permanent,
     "raise record_bytes_max, or remove the entry that is so long"},
};

/// Returns the category "belay.redis".
[[nodiscard]] inline const TableCategory& redis_category() noexcept {
    static const TableCategory category{"belay.redis", redis_error_texts};
    return category;
}
}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace redis {

/// Makes a std::error_code of an Errc; the implicit conversion calls it.
[[nodiscard]] inline std::error_code make_error_code(Errc error) noexcept {
    return {static_cast<int>(error), detail::redis_category()};
}

}}}  // namespace belay::redis

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the meaning of an error reply. Redis 7 puts the code of a failure within a script first.
/// Older versions put words of their own before it.
[[nodiscard]] inline std::error_code code_of_redis(std::string_view reply) noexcept {
    struct Word {
        std::string_view word;
        redis::Errc code;
    };
    constexpr Word words[] = {
        {"WRONGTYPE ", redis::Errc::wrong_type},
        {"NOAUTH ", redis::Errc::unauthorized},
        {"WRONGPASS ", redis::Errc::unauthorized},
        {"invalid password", redis::Errc::unauthorized},
        {"without any password", redis::Errc::unauthorized},
        {"NOPERM ", redis::Errc::forbidden},
        {"The user executing the script", redis::Errc::forbidden},
        {"DENIED ", redis::Errc::forbidden},
        {"LOADING ", redis::Errc::not_ready},
        {"BUSY ", redis::Errc::not_ready},
        {"MASTERDOWN ", redis::Errc::not_ready},
        {"CLUSTERDOWN ", redis::Errc::not_ready},
        {"TRYAGAIN ", redis::Errc::not_ready},
        {"max number of clients", redis::Errc::not_ready},
        {"OOM ", redis::Errc::out_of_memory},
        {"READONLY ", redis::Errc::read_only},
        {"MISCONF ", redis::Errc::cannot_persist},
        {"NOREPLICAS ", redis::Errc::cannot_persist},
        {"NOGROUP ", redis::Errc::no_group},
        {"UNBLOCKED the stream", redis::Errc::no_group},
        {"UNBLOCKED ", redis::Errc::not_ready},
        {"MOVED ", redis::Errc::moved},
        {"ASK ", redis::Errc::moved},
        {"nknown command", redis::Errc::too_old},
        {"nknown Redis command", redis::Errc::too_old},
    };
    for (const Word& known : words) {
        if (reply.starts_with(known.word)) return make_error_code(known.code);
    }
    for (const Word& known : words) {
        if (reply.starts_with("ERR ") && reply.find(known.word) != reply.npos) {
            return make_error_code(known.code);
        }
    }
    return make_error_code(redis::Errc::rejected);
}

/// The words of a redis::Error.
struct RedisWords {
    static constexpr const char* nowhere = "an empty path";
    template <class Error>
    [[nodiscard]] static const char* advice(const Error& error) noexcept {
        return of(error.code);
    }
    [[nodiscard]] static const char* of(const std::error_code& code) noexcept {
        if (const char* known = redis_category().advice(code)) return known;
        if (code.category() == redis_category()) return redis_error_texts[14].advice;
        if (code.category() == tls_error_category())
            return "see redis::TlsOptions; the next call connects again";
        constexpr const char* more_files =
            "close some files, or raise the limit of open files (ulimit -n)";
        return advice_in(
            {{QueueErrc::bad_options, "see redis::Options for the allowed values"},
             {QueueErrc::queue_empty,
              "wait until a client pushes or returns an operation, or a lease ends"},
             {QueueErrc::too_large, "raise record_bytes_max, or push smaller operations"},
             {QueueErrc::bad_encoding,
              "another program pushed this entry: find that program; ack() deletes the entry"},
             {QueueErrc::lease_ended,
              "make the lease longer than the work, or call renew() during the work"},
             {std::errc::permission_denied, "allow this user to write to the socket"},
             {std::errc::timed_out,
              "check that Redis runs, the host and the port, and that no firewall blocks them"},
             {std::errc::too_many_files_open, more_files},
             {std::errc::too_many_files_open_in_system, more_files},
             {std::errc::host_unreachable, "correct the name of the host"}},
            code,
            "start Redis, or correct the host and port or the path of the "
            "socket; the next call connects again");
    }
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace redis {

/// The reason why a queue in Redis could not be opened or used: what, where, and what to do about
/// it. The place is the server and the stream.
///
/// Thread safety: a plain value.
using Error = part::AdvisedError<detail::RedisWords>;

}}}  // namespace belay::redis

template <>
struct std::is_error_code_enum<belay::redis::Errc> : std::true_type {};

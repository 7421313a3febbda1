// SPDX-License-Identifier: MIT
/// \file belay/postgres/error.hpp
/// postgres::Errc: the errors of rooms in PostgreSQL.
#pragma once

#include <string_view>   // std::string_view
#include <system_error>  // std::error_code, std::is_error_code_enum
#include <type_traits>   // std::true_type

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace postgres {

/// Errors of rooms in PostgreSQL; category "belay.postgres".
///
/// Values are appended, never renumbered. After `connection_lost` and `no_answer`, it is unknown
/// whether the call took effect. After any other error it did not.
enum class Errc {
    connection_lost = 1,  ///< there is no connection, or it ended before the answer
    no_answer = 2,        ///< no answer within the time limit, or a lock was held for too long
    unauthorized = 3,     ///< the server does not accept the user, the password or the certificate
    forbidden = 4,        ///< the user may not do this
    not_ready = 5,        ///< it starts or stops, or has too many connections
    no_space = 6,         ///< no space on its disk, or no memory
    read_only = 7,        ///< it is a replica, or its transactions are read-only
    no_tables = 8,        ///< the tables are gone; the next call creates them
    other_version = 9,    ///< the tables are those of another version of belay
    rejected = 10         ///< any other rejection
};

}}}  // namespace belay::postgres

namespace belay { inline namespace BELAY_ABI { namespace detail {

inline constexpr ErrorText postgres_error_texts[] = {
    {"there is no connection to PostgreSQL", Cause::lost,
     "start PostgreSQL, or correct RoomsOptions::connection; the next call connects again"},
    {"PostgreSQL did not answer in time", Cause::timed_out,
     "wait; if it stays, find out what PostgreSQL waits for, or raise "
     "RoomsOptions::command_timeout"},
    {"PostgreSQL does not accept the user, the password or the certificate", Cause::unauthorized,
     "correct user and password in RoomsOptions::connection, or pg_hba.conf"},
    {"PostgreSQL does not allow this to the user", Cause::forbidden,
     "allow the user to create tables in the schema, and to use them"},
    {"PostgreSQL is not ready", Cause::overloaded,
     "wait, or raise max_connections: each server uses two"},
    {"PostgreSQL has no space", Cause::overloaded,
     "free space on the disk of PostgreSQL; nothing is lost"},
    {"this PostgreSQL server is read-only", Cause::refused,
     "connect to the primary: add target_session_attrs=read-write"},
    {"the tables of the rooms do not exist", Cause::refused,
     "find out why the tables are gone; the servers restore the rooms that they have"},
    {"the tables of the rooms are those of another version", Cause::permanent,
     "use the version of belay that has made the tables, or a newer one"},
    {"PostgreSQL rejected the command", Cause::permanent,
     "read the words of PostgreSQL in this message"},
};

/// Returns the category "belay.postgres".
[[nodiscard]] inline const TableCategory& postgres_category() noexcept {
    static const TableCategory category{"belay.postgres", postgres_error_texts};
    return category;
}

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace postgres {

/// Makes a std::error_code of an Errc; the implicit conversion calls it.
[[nodiscard]] inline std::error_code make_error_code(Errc error) noexcept {
    return {static_cast<int>(error), detail::postgres_category()};
}

}}}  // namespace belay::postgres

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the meaning of an SQLSTATE.
[[nodiscard]] inline postgres::Errc code_of_postgres(std::string_view state) noexcept {
    using postgres::Errc;
    struct Row {
        std::string_view begins;
        Errc code;
    };
    constexpr Row rows[] = {
        {"08", Errc::connection_lost},    {"57P01", Errc::connection_lost},
        {"57P02", Errc::connection_lost}, {"57P03", Errc::not_ready},
        {"57014", Errc::no_answer},       {"25P03", Errc::no_answer},
        {"55P03", Errc::no_answer},       {"40", Errc::no_answer},
        {"28", Errc::unauthorized},       {"42501", Errc::forbidden},
        {"53300", Errc::not_ready},       {"53", Errc::no_space},
        {"25006", Errc::read_only},       {"42P01", Errc::no_tables},
    };
    for (const Row& row : rows)
        if (state.starts_with(row.begins)) return row.code;
    return Errc::rejected;
}

}}}  // namespace belay::detail

template <>
struct std::is_error_code_enum<belay::postgres::Errc> : std::true_type {};

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
    {"there is no connection to PostgreSQL", Cause::lost},
    {"PostgreSQL did not answer in time", Cause::timed_out},
    {"PostgreSQL does not accept the user, the password or the certificate", Cause::unauthorized},
    {"PostgreSQL does not allow this to the user", Cause::forbidden},
    {"PostgreSQL is not ready", Cause::overloaded},
    {"PostgreSQL has no space", Cause::overloaded},
    {"this PostgreSQL server is read-only", Cause::refused},
    {"the tables of the rooms do not exist", Cause::refused},
    {"the tables of the rooms are those of another version", Cause::permanent},
    {"PostgreSQL rejected the command", Cause::permanent},
};

/// Returns the category "belay.postgres".
[[nodiscard]] inline const std::error_category& postgres_category() noexcept {
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
/// Returns advice as a sentence without its full stop.
[[nodiscard]] inline const char* advice_for_postgres(postgres::Errc code) noexcept {
    using postgres::Errc;
    switch (code) {
        case Errc::connection_lost:
            return "start PostgreSQL, or correct RoomsOptions::connection; the next call connects "
                   "again";
        case Errc::no_answer:
            return "wait; if it stays, find out what PostgreSQL waits for, or raise "
                   "RoomsOptions::command_timeout";
        case Errc::unauthorized:
            return "correct user and password in RoomsOptions::connection, or pg_hba.conf";
        case Errc::forbidden:
            return "allow the user to create tables in the schema, and to use them";
        case Errc::not_ready:
            return "wait, or raise max_connections: each server uses two";
        case Errc::no_space:
            return "free space on the disk of PostgreSQL; nothing is lost";
        case Errc::read_only:
            return "connect to the primary: add target_session_attrs=read-write";
        case Errc::no_tables:
            return "find out why the tables are gone; the servers restore the rooms that they have";
        case Errc::other_version:
            return "use the version of belay that has made the tables, or a newer one";
        case Errc::rejected:
            break;
    }
    return "read the words of PostgreSQL in this message";
}

}}}  // namespace belay::detail

template <>
struct std::is_error_code_enum<belay::postgres::Errc> : std::true_type {};

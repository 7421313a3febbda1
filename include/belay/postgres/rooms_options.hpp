// SPDX-License-Identifier: MIT
/// \file belay/postgres/rooms_options.hpp
/// postgres::RoomsOptions: the database of postgres::Rooms, and its time limits.
#pragma once

#include <chrono>       // std::chrono::milliseconds, std::chrono::seconds
#include <cstddef>      // std::size_t
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace postgres {

/// The database of postgres::Rooms, and its time limits.
struct RoomsOptions {
    /// The connection string of libpq, such as "host=db dbname=boards user=belay", or a URI. It has
    /// the passwords, the TLS settings and the replicas to fail over to. libpq also reads its
    /// environment variables and its password file.
    std::string connection{};
    /// The tables are `<prefix>_room`, `<prefix>_update`, `<prefix>_ended` and `<prefix>_version`.
    /// It may have small letters, digits and underscores.
    std::string prefix = "belay";
    /// The longest time for one command. A server that freezes inside a transaction holds its rooms
    /// for half of this time.
    std::chrono::milliseconds command_timeout{10'000};
    /// After a lost connection, calls fail at once for this time.
    std::chrono::milliseconds retry_after{500};
    /// The longest time after which a change arrives although its notification was lost.
    std::chrono::milliseconds poll_every{5'000};
    /// The most memory for changes that wait for their flush, in bytes. More changes are rejected:
    /// storage_busy.
    std::size_t unflushed_bytes_max = std::size_t{64} << 20;

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is.
    [[nodiscard]] std::string_view check() const noexcept {
        const auto is_part_of_name = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
        };
        bool is_name = !prefix.empty() && prefix.size() <= 40 && !(prefix[0] <= '9');
        for (const char c : prefix) is_name = is_name && is_part_of_name(c);
        if (!is_name)
            return "postgres::RoomsOptions: prefix must have small letters, digits and "
                   "underscores, begin with no digit, and be at most 40 long";
        if (connection.find('\0') != std::string::npos)
            return "postgres::RoomsOptions: connection must not contain a zero byte";
        constexpr std::chrono::hours longest{1};
        for (const std::chrono::milliseconds time : {command_timeout, retry_after, poll_every})
            if (time.count() < 2 || time > longest)
                return "postgres::RoomsOptions: times must be from 2 ms to 1 h";
        if (unflushed_bytes_max == 0)
            return "postgres::RoomsOptions: unflushed_bytes_max must be > 0";
        return {};
    }
};

}}}  // namespace belay::postgres

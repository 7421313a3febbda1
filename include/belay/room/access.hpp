// SPDX-License-Identifier: MIT
/// \file belay/room/access.hpp
/// Access and Grant: what somebody may do in a room, and who that is.
#pragma once

#include <cstdint>      // std::uint8_t
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

/// What a client may do in a room, by rising right. Who may not edit receives, and changes nothing.
enum class Access : std::uint8_t {
    none,     ///< not come in
    view,     ///< receive
    comment,  ///< receive; what a comment is says the application
    edit      ///< receive, and change the document
};

/// The name of a right, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(Access access) noexcept {
    constexpr std::string_view names[] = {"none", "view", "comment", "edit"};
    const auto i = static_cast<std::size_t>(access);
    return i < sizeof names / sizeof names[0] ? names[i] : std::string_view{"unknown"};
}

/// What an authorizer answers: who it is, what they may do, and how long that holds.
///
/// Without access: the client is closed as unauthorized where there is no user, as forbidden where
/// there is one.
///
/// Thread safety: a plain value.
struct Grant {
    /// Who it is; empty: nobody that is known by name.
    std::string user{};
    Access access = Access::none;
    /// From the answer on; then the client is closed as unauthorized.   Pre: >= 0ns.
    Duration valid_for = forever;
};

}}  // namespace belay

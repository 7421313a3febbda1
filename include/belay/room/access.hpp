// SPDX-License-Identifier: MIT
/// \file belay/room/access.hpp
/// Access and Grant: the rights of a user in a room, and how long they hold.
#pragma once

#include <cstdint>      // std::uint8_t
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The rights of a client in a room, in rising order.
///
/// A client that may not edit receives changes, and makes none.
enum class Access : std::uint8_t {
    none,     ///< not admitted
    view,     ///< receives changes
    comment,  ///< receives changes; the application defines what a comment is
    edit      ///< receives changes, and changes the document
};

/// Returns the name of a right, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(Access access) noexcept {
    constexpr std::string_view names[] = {"none", "view", "comment", "edit"};
    const auto i = static_cast<std::size_t>(access);
    return i < sizeof names / sizeof names[0] ? names[i] : std::string_view{"unknown"};
}

/// The answer of an authorizer, which names the user, the rights, and how long they hold.
///
/// If `access` is none, the manager closes the client: as unauthorized if `user` is empty, and as
/// forbidden otherwise.
///
/// Thread safety: a plain value.
struct Grant {
    /// The name of the user; empty if the user is not known by name.
    std::string user{};
    /// The rights of the user in the room.
    Access access = Access::none;
    /// How long the grant holds, counted from the answer. Then the client is closed as
    /// unauthorized.
    /// Pre: >= 0ns.
    Duration valid_for = forever;
};

}}  // namespace belay

// SPDX-License-Identifier: MIT
/// \file belay/room/authorizer_like.hpp
/// AuthorizerLike: decides which users may join which room. Access and Grant: its answer.
/// EveryoneEdits: admits all of them.
#pragma once

#include <concepts>     // std::same_as
#include <cstdint>      // std::uint8_t
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/completion.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/room/room_request.hpp>

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
    return detail::name_of(access, names);
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

namespace detail {
template <class A>
concept ChecksRequest =
    requires(A& authorizer, const RoomRequest& request, Completion<Grant> answer) {
        {
            authorizer.check(request, static_cast<Completion<Grant>&&>(answer))
        } -> std::same_as<void>;
    };
}  // namespace detail

/// Decides which users may join which room, and what they may do there.
///
/// - `check(const RoomRequest&, Completion<Grant>)`: answers at once, later, or on another thread.
///   A Grant without access is a rejection. If the Completion is dropped, or is not answered within
///   `RoomOptions::check_within`, the client is rejected, and may try again later.
///
/// The request is valid until check() returns. Answer a missing token, an unknown user or an
/// unknown room with a Grant without `user` (RoomCloseCodes::unauthorized). Answer a missing right
/// with the user and Access::none (RoomCloseCodes::forbidden). If clients must not find out which
/// rooms exist, answer an unknown room and a missing right in the same way.
///
/// The manager calls check() on its home thread. It must not block, because no client of any room
/// is served before it returns. `check_within` does not end a call that blocks. Read files,
/// databases and networks on another thread, and answer from there.
///
/// check() must not call the manager that calls it.
///
/// Models: EveryoneEdits.
template <class A>
concept AuthorizerLike = std::is_nothrow_destructible_v<A> && detail::ChecksRequest<A>;

/// Admits every client to every room, with the right to edit.
///
/// Use it for tests, or if another part of your server has already authorized the client.
///
/// Thread safety: no state.
struct EveryoneEdits {
    /// Grants `Access::edit`, without a user.
    void check(const RoomRequest& /*request*/, Completion<Grant> answer) const {
        answer(Grant{.access = Access::edit});
    }
};

namespace explain {

/// Names every requirement of AuthorizerLike that A lacks.
template <class A>
consteval bool authorizer_like() {
    static_assert(std::is_nothrow_destructible_v<A>,
                  "AuthorizerLike: A's destructor must be noexcept");
    static_assert(detail::ChecksRequest<A>,
                  "AuthorizerLike: A needs 'void check(const belay::RoomRequest&, "
                  "belay::Completion<belay::Grant>)'");
    return AuthorizerLike<A>;
}

}  // namespace explain

}}  // namespace belay

// SPDX-License-Identifier: MIT
/// \file belay/room/authorizer_like.hpp
/// AuthorizerLike: who may come into which room; and EveryoneEdits, which asks nobody.
#pragma once

#include <concepts>  // std::same_as

#include <belay/core/completion.hpp>
#include <belay/room/access.hpp>
#include <belay/room/room_request.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
template <class A>
concept ChecksRequest =
    requires(A& authorizer, const RoomRequest& request, Completion<Grant> answer) {
        {
            authorizer.check(request, static_cast<Completion<Grant>&&>(answer))
        } -> std::same_as<void>;
    };
}  // namespace detail

/// Decides who may come into which room.
///
/// - `check(const RoomRequest&, Completion<Grant>)`: answers at once, later, or in another thread.
///   A Grant without access is a refusal. One that is dropped unanswered, or that takes longer than
///   `RoomOptions::check_within`, lets nobody in, and the client may try again later.
///
/// The request lives until check() returns. Missing tokens and unknown users are a Grant without
/// user; an unknown board must look like one that the user has no right to.
///
/// A check must not call the manager that asks.
///
/// Models: EveryoneEdits.
template <class A>
concept AuthorizerLike = std::is_nothrow_destructible_v<A> && detail::ChecksRequest<A>;

/// Lets everybody into every room, to edit: for tests, and behind a door that somebody else keeps.
///
/// Thread safety: no state.
struct EveryoneEdits {
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

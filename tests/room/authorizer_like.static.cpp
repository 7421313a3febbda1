// SPDX-License-Identifier: MIT
// Goal: AuthorizerLike accepts its minimal model, and rejects types that lack one requirement
// each.
#include <belay/room/authorizer_like.hpp>

#include <type_traits>

using namespace belay;

namespace {
struct LeastAuthorizer {
    LeastAuthorizer(const LeastAuthorizer&) = delete;
    void check(const RoomRequest&, Completion<Grant>);
};
struct AuthorizerThatAnswersAtOnce {
    Grant check(const RoomRequest&);
};
struct AuthorizerWithoutRequest {
    void check(Completion<Grant>);
};
}  // namespace

static_assert(AuthorizerLike<LeastAuthorizer>);
static_assert(AuthorizerLike<EveryoneEdits> && std::is_empty_v<EveryoneEdits>);
static_assert(!AuthorizerLike<AuthorizerThatAnswersAtOnce>);
static_assert(!AuthorizerLike<AuthorizerWithoutRequest>);
static_assert(explain::authorizer_like<LeastAuthorizer>());

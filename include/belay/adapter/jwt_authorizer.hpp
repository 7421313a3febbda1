// SPDX-License-Identifier: MIT
/// \file belay/adapter/jwt_authorizer.hpp
/// jwt::Authorizer: admits clients with a valid token to rooms, with rights that you define.
#pragma once

#include <concepts>     // std::convertible_to
#include <type_traits>  // std::is_nothrow_destructible_v
#include <utility>      // std::move

#include <belay/adapter/jwt_verifier.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/steady_clock.hpp>
#include <belay/room/authorizer_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {
template <class F>
concept GivesAccess = requires(F& rights, const jwt::Claims& claims, const RoomRequest& request) {
    { rights(claims, request) } -> std::same_as<Access>;
};

/// The hooks that a jwt::Authorizer calls.
struct JwtHooks {
    using Refused = Hook<OnRefused, const NoMachine, const std::error_code&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Refused::template right<O>,
                      "jwt::Authorizer: the observer's on_refused must be 'on_refused(const "
                      "std::error_code&)'");
        static_assert(has_any_hook_of<O, Refused>,
                      "jwt::Authorizer: the observer has no hook: it needs on_refused. Derive an "
                      "observer without hooks from belay::NoObserver");
        return true;
    }
};
}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace jwt {

/// Identifies a client by the token of its request, and gives it the rights that `rights` returns.
///
/// The function is `Access rights(const Claims&, const RoomRequest&)`. It must return at once.
///
///     auto rights = [&](const Claims& who, const RoomRequest& request) {
///         return board_of(request).right_of(who.subject);  // Access::none: closed as forbidden
///     };
///     Authorizer authorizer{std::move(*verifier), rights};
///
/// A client whose token is not valid has no user: it is closed as unauthorized. Only the observer's
/// `on_refused(const std::error_code&)` receives the reason. A client is also closed as
/// unauthorized when its token expires, the leeway included. If rights cannot be determined at
/// once, write an authorizer of your own over a Verifier.
///
/// Models:        AuthorizerLike.
/// Thread safety: that of `rights`, the clock and the observer.
template <class Rights, class Observer = NoObserver, WallClockLike Clock = SystemClock>
class Authorizer {
    static_assert(detail::GivesAccess<Rights>,
                  "jwt::Authorizer: rights must be callable with (const belay::jwt::Claims&, const "
                  "belay::RoomRequest&) and return a belay::Access");
    static_assert(detail::explain_observer<detail::JwtHooks, Observer>());

public:
    Authorizer(Verifier verifier, Rights rights, Observer observer = {}, Clock clock = {})
        : verifier_{std::move(verifier)},
          rights_{std::move(rights)},
          observer_{std::move(observer)},
          clock_{std::move(clock)} {}

    /// Verifies the token, and completes `answer` with a Grant.
    ///
    /// Throws: std::bad_alloc, and what `rights` and the observer throw.
    void check(const RoomRequest& request, Completion<Grant> answer) {
        const WallTime now = clock_.now();
        auto claims = verifier_.verify(request.token, now);
        if (!claims) {
            const std::error_code why = claims.error();
            answer(Grant{});
            return detail::notify<detail::JwtHooks::Refused>(observer_, detail::no_machine, why);
        }
        Grant grant{.access = rights_(*claims, request)};
        grant.user = std::move(claims->subject);
        grant.valid_for = verifier_.valid_for(*claims, now);
        answer(std::move(grant));
    }

private:
    Verifier verifier_;
    Rights rights_;
    Observer observer_;
    Clock clock_;
};

}}}  // namespace belay::jwt
